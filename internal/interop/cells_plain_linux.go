package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Names in jetsend's events for a file without encryption.
const (
	wantPlain  = "none"
	wantInband = "ibb"
	viaInband  = "inband"
)

// plainClient is a client that knows Jingle file transfer and no encryption of
// it. It is online, and there is no person before it.
type plainClient interface {
	// offerPath says which way its next file is to go, as far as it can be told.
	offerPath(via string) error
	// sendFile has it offer a file to a full JID.
	sendFile(ctx context.Context, path, to string) error
}

// plainCells pass files without encryption between jetsend and clients that
// have none.
func plainCells() []cell {
	var cells []cell
	for _, via := range []string{viaDirect, viaProxy, viaInband} {
		cells = append(cells,
			cell{
				name: "libervia-send-" + via, needs: clientLibervia, run: sendToLibervia(via, small),
				about: "jetsend to Libervia, 300 KB, " + via,
			},
			cell{
				name: "libervia-receive-" + via, needs: clientLibervia, run: receiveFromLibervia(via, small),
				about: "Libervia to jetsend, 300 KB, " + via,
			},
			cell{
				name: "gajim-receive-" + via, needs: clientGajim, run: receiveFromGajim(via, small),
				about: "Gajim to jetsend, 300 KB, " + via,
			})
	}
	return append(cells,
		cell{name: "libervia-send-large", needs: clientLibervia, run: sendToLibervia(viaDirect, large), about: "jetsend to Libervia, 4.9 MB, direct"},
		cell{name: "libervia-send-empty", needs: clientLibervia, run: sendToLibervia(viaDirect, 0), about: "jetsend to Libervia, an empty file, which goes in-band"},
		cell{name: "libervia-receive-large", needs: clientLibervia, run: receiveFromLibervia(viaDirect, large), about: "Libervia to jetsend, 4.9 MB, direct"},
		cell{name: "gajim-receive-large", needs: clientGajim, run: receiveFromGajim(viaDirect, large), about: "Gajim to jetsend, 4.9 MB, direct"},
	)
}

// plainFlags make jetsend take a path without encryption.
func plainFlags(via string) []string {
	flags := []string{"--insecure-plaintext"}
	switch via {
	case viaProxy:
		return append(flags, "--no-direct")
	case viaInband:
		return append(flags, "--transport", "ibb")
	}
	return flags
}

func sendToLibervia(via string, size int) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		l, jet, err := w.sharedLibervia(ctx)
		if err != nil {
			return "", err
		}
		want := via
		if size == 0 { // it does not see the end of it over SOCKS5
			want = viaInband
		}
		return jet.sendPlain(ctx, l, via, want, size)
	}
}

func receiveFromLibervia(via string, size int) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		l, jet, err := w.sharedLibervia(ctx)
		if err != nil {
			return "", err
		}
		want := via
		if via == viaProxy { // its own proxy fails, and it replaces
			want = viaInband
		}
		return jet.receivePlain(ctx, l, via, want, size)
	}
}

func receiveFromGajim(via string, size int) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		g, jet, err := w.sharedGajim(ctx)
		if err != nil {
			return "", err
		}
		return jet.receivePlain(ctx, g, via, via, size)
	}
}

// sendPlain sends a file to Libervia and compares its copy; want is the path that
// the bytes are to take.
func (a *account) sendPlain(ctx context.Context, l *libervia, via, want string, size int) (string, error) {
	path, content, err := a.world.rig.newFile(size)
	if err != nil {
		return "", err
	}
	tx, err := a.start(append(append([]string{"send", "--json"}, plainFlags(via)...), path, l.server.jid(l.user))...)
	if err != nil {
		return "", err
	}
	defer tx.close()
	code, err := tx.exit(ctx)
	if err != nil {
		return "", err
	}
	took := since(tx.start)
	if code != 0 {
		e, _ := tx.find("", "failed")
		return "", fmt.Errorf("jetsend send: exit status %d, %q; %s", code, e.Reason, tx.complaint())
	}
	// It closes its file only after it has said success.
	err = poll(ctx, jetsendTimeout, "wait for Libervia's file", func(context.Context) (bool, error) {
		got, err := os.ReadFile(filepath.Join(l.inbox(), filepath.Base(path)))
		if err == nil && !bytes.Equal(got, content) {
			err = errDiffers
		}
		return err == nil, err
	})
	if err != nil {
		return "", err
	}
	return took, tx.checkPlain(filepath.Base(path), want)
}

// receivePlain has a client send a file and compares jetsend's copy; want is
// the path that the bytes are to come by.
func (a *account) receivePlain(ctx context.Context, from plainClient, via, want string, size int) (string, error) {
	rx, err := a.receive(ctx, plainFlags(via)...)
	if err != nil {
		return "", err
	}
	defer rx.close()
	online, _ := rx.find("", "online") // receive has waited for it
	path, content, err := a.world.rig.newFile(size)
	if err != nil {
		return "", err
	}
	if err := from.offerPath(via); err != nil {
		return "", err
	}
	start := time.Now()
	if err := from.sendFile(ctx, path, online.JID); err != nil {
		return "", fmt.Errorf("%w; jetsend's %s", err, rx.complaint())
	}
	e, err := rx.wait(ctx, filepath.Base(path), "received", "failed")
	if err != nil {
		return "", err
	}
	if e.Event == "failed" {
		return "", fmt.Errorf("jetsend receive failed with %d, %q; %s", e.Code, e.Reason, rx.complaint())
	}
	took := since(start)
	got, err := os.ReadFile(e.Path)
	if err != nil {
		return "", fmt.Errorf("read what jetsend received: %w", err)
	}
	if !bytes.Equal(got, content) {
		return "", errDiffers
	}
	return took, rx.checkPlain(filepath.Base(path), want)
}

// checkPlain looks at what jetsend says about the transfer of a file.
func (c *command) checkPlain(name, via string) error {
	e, found := c.find(name, "negotiated")
	if !found {
		return errors.New("no negotiated event")
	}
	if e.Encryption != wantPlain || e.Cipher != "" {
		return fmt.Errorf("encryption %q and cipher %q, not %q and none", e.Encryption, e.Cipher, wantPlain)
	}
	transport, candidate := wantTransport, via
	if via == viaInband {
		transport, candidate = wantInband, ""
	}
	if e.Transport != transport || e.Candidate != candidate {
		return fmt.Errorf("transport %q and candidate %q, not %q and %q", e.Transport, e.Candidate, transport, candidate)
	}
	return nil
}
