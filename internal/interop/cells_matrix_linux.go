package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Names in jetsend's events (docs/events.md) for what Dino can do.
const (
	wantEncryption = "jet"
	wantCipher     = "aes-128-gcm"
	wantTransport  = "s5b"
	viaDirect      = "direct"
	viaProxy       = "proxy"
)

// matrixCells pass files of every size both ways over both paths.
func matrixCells() []cell {
	sizes := []struct {
		name  string
		bytes int
		click bool // when Dino receives it
	}{{"1b", tiny, false}, {"300k", small, false}, {"4.9m", large, false}, {"6m", larger, true}}
	var cells []cell
	for _, via := range []string{viaDirect, viaProxy} {
		for _, s := range sizes {
			hand := ""
			if s.click {
				hand = ", accepted by a click"
			}
			cells = append(cells, cell{
				name: "send-" + via + "-" + s.name, run: sendCell(via, s.bytes, s.click),
				about: "jetsend to Dino, " + s.name + ", " + via + hand,
			})
		}
	}
	for _, via := range []string{viaDirect, viaProxy} {
		for _, s := range sizes {
			cells = append(cells, cell{
				name: "receive-" + via + "-" + s.name, run: receiveCell(via, s.bytes), buffered: via == viaProxy,
				about: "Dino to jetsend, " + s.name + ", " + via,
			})
		}
	}
	return cells
}

// pathFlags make jetsend take a path; Dino is told by setDirect.
func pathFlags(via string) []string {
	if via == viaProxy {
		return []string{"--no-direct"}
	}
	return nil
}

func sendCell(via string, size int, click bool) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		p, err := w.sharedPair(ctx)
		if err != nil {
			return "", err
		}
		return p.sendToDino(ctx, via, size, click)
	}
}

func receiveCell(via string, size int) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		p, err := w.sharedPair(ctx)
		if err != nil {
			return "", err
		}
		rx, err := p.jet.receive(ctx, pathFlags(via)...)
		if err != nil {
			return "", err
		}
		defer rx.close()
		if err := p.waitPrimed(ctx); err != nil {
			return "", fmt.Errorf("%w; %s", err, rx.complaint())
		}
		return p.sendFromDino(ctx, rx, via, size)
	}
}

// sendToDino sends a file with jetsend and checks Dino's copy and the events.
func (p *pair) sendToDino(ctx context.Context, via string, size int, click bool) (string, error) {
	if err := p.dino.setDirect(via == viaDirect); err != nil {
		return "", err
	}
	path, content, err := p.jet.world.rig.newFile(size)
	if err != nil {
		return "", err
	}
	args := append([]string{"send", "--json"}, pathFlags(via)...)
	tx, err := p.jet.start(append(args, path, p.dino.bareJID())...)
	if err != nil {
		return "", err
	}
	defer tx.close()
	if click {
		if err := p.click(ctx, tx, filepath.Base(path)); err != nil {
			return "", err
		}
	}
	code, err := tx.exit(ctx)
	if err != nil {
		return "", err
	}
	took := since(tx.start)
	if code != 0 {
		e, _ := tx.find("", "failed")
		return "", fmt.Errorf("jetsend send: exit status %d, %q; %s", code, e.Reason, tx.complaint())
	}
	got, err := p.dino.received(ctx, filepath.Base(path), dinoOMEMO, false)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(got, content) {
		return "", errDiffers
	}
	if err := p.checkEvents(ctx, tx, filepath.Base(path), via); err != nil {
		return "", err
	}
	sent, found := tx.find("", "sent")
	if !found || sent.Size != int64(size) || sent.VerifiedByPeer {
		return "", fmt.Errorf("the sent event says %+v; Dino verifies nothing", sent)
	}
	return took, nil
}

// click accepts the file in Dino once jetsend has offered it.
func (p *pair) click(ctx context.Context, tx *command, name string) error {
	e, err := tx.wait(ctx, "", "offer", "failed")
	if err == nil && e.Event == "failed" {
		err = fmt.Errorf("jetsend send failed with %d, %q; %s", e.Code, e.Reason, tx.complaint())
	}
	if err != nil {
		return err
	}
	if err := p.dino.accept(ctx, name); err != nil {
		return fmt.Errorf("%w; jetsend's %s", err, tx.complaint())
	}
	return nil
}

// sendFromDino sends a file with Dino and checks jetsend's copy and the events.
func (p *pair) sendFromDino(ctx context.Context, rx *command, via string, size int) (string, error) {
	if err := p.dino.setDirect(via == viaDirect); err != nil {
		return "", err
	}
	path, content, err := p.jet.world.rig.newFile(size)
	if err != nil {
		return "", err
	}
	start := time.Now()
	if err := p.dino.sendFile(ctx, path); err != nil {
		return "", err
	}
	e, err := rx.wait(ctx, filepath.Base(path), "received", "failed")
	if err != nil {
		return "", err
	}
	took := since(start)
	if e.Event == "failed" {
		return "", fmt.Errorf("jetsend receive failed with %d, %q; %s", e.Code, e.Reason, rx.complaint())
	}
	got, err := os.ReadFile(e.Path)
	if err != nil {
		return "", fmt.Errorf("read what jetsend received: %w", err)
	}
	if !bytes.Equal(got, content) {
		return "", errDiffers
	}
	if e.Size != int64(size) || !slices.Contains(e.Verified, "gcm-tag") {
		return "", fmt.Errorf("the received event says %+v", e)
	}
	return took, p.checkEvents(ctx, rx, filepath.Base(path), via)
}

// checkEvents looks at what jetsend says about the transfer of a file: who,
// which path, which protection, and Dino's own device with Dino's own key.
func (p *pair) checkEvents(ctx context.Context, c *command, name, via string) error {
	id, fingerprint, err := p.dino.device(ctx)
	if err != nil {
		return err
	}
	e, found := c.find(name, "negotiated")
	if !found {
		return errors.New("no negotiated event")
	}
	if e.Peer != p.dino.fullJID() {
		return fmt.Errorf("the peer is %q, not %q", e.Peer, p.dino.fullJID())
	}
	if e.Encryption != wantEncryption || e.Cipher != wantCipher {
		return fmt.Errorf("encryption %q and cipher %q, not %q and %q", e.Encryption, e.Cipher, wantEncryption, wantCipher)
	}
	if e.Transport != wantTransport || e.Candidate != via {
		return fmt.Errorf("transport %q and candidate %q, not %q and %q", e.Transport, e.Candidate, wantTransport, via)
	}
	for _, d := range e.Devices {
		if d.ID == id && d.Fingerprint == fingerprint {
			return nil
		}
	}
	return fmt.Errorf("the devices are %+v, without Dino's %d %s", e.Devices, id, fingerprint)
}

// primeTimeout bounds the time from our coming online to Dino's having a
// session with us: a few round trips.
const primeTimeout = 15 * time.Second

// waitPrimed waits until Dino can encrypt to jetsend.
func (p *pair) waitPrimed(ctx context.Context) error {
	return poll(ctx, primeTimeout, "wait for Dino to have an OMEMO session with jetsend", func(ctx context.Context) (bool, error) {
		n, err := p.dino.sessionsWith(ctx, p.jet.bareJID(), 0)
		return n > 0, err
	})
}
