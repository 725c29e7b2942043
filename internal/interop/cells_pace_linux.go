package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

const (
	// discoPatience is how long jetsend asks a client for its features; a send
	// that was held up by one that never answers takes longer.
	discoPatience = 5 * time.Second
	// lastBytesPatience is how long jetsend waits for what Dino writes back under
	// JET before it closes; a file without encryption is not to wait for it.
	lastBytesPatience = 2 * time.Second
)

// paceCells are about waits that nobody needs.
func paceCells() []cell {
	return []cell{
		{name: "pace-sleeping-client", run: paceSleeping, about: "another client of the contact sleeps, and does not hold a file for Dino up"},
		{name: "pace-plain-proxy", run: pacePlain, about: "jetsend to Dino without encryption through a proxy, which ends with the last byte"},
	}
}

// paceSleeping sends to a contact who has a Dino and a client that is away with
// its session kept: present, and silent.
func paceSleeping(ctx context.Context, w *world) (string, error) {
	p, err := w.sharedPair(ctx)
	if err != nil {
		return "", err
	}
	phone, err := newPerson(ctx, w.server, p.dino.user, "phone", 0)
	if err != nil {
		return "", err
	}
	defer phone.leave()
	if err := phone.sleep(ctx); err != nil {
		return "", err
	}
	tx, _, err := p.sendOnce(ctx, viaDirect, dinoOMEMO)
	if err != nil {
		return "", err
	}
	return tx.between("online", "offer", discoPatience)
}

// pacePlain sends through a proxy without encryption.
func pacePlain(ctx context.Context, w *world) (string, error) {
	p, err := w.sharedPair(ctx)
	if err != nil {
		return "", err
	}
	tx, name, err := p.sendOnce(ctx, viaProxy, dinoPlain)
	if err != nil {
		return "", err
	}
	if err := tx.checkPlain(name, viaProxy); err != nil {
		return "", err
	}
	return tx.between("negotiated", "sent", lastBytesPatience)
}

// sendOnce sends a small file to Dino, with what Dino calls encryption,
// and returns the command, which has ended, and the file's name.
func (p *pair) sendOnce(ctx context.Context, via string, encryption int) (*command, string, error) {
	if err := p.dino.setDirect(via == viaDirect); err != nil {
		return nil, "", err
	}
	path, content, err := p.jet.world.rig.newFile(small)
	if err != nil {
		return nil, "", err
	}
	args := append([]string{"send", "--json"}, pathFlags(via)...)
	if encryption == dinoPlain {
		args = append(args, "--insecure-plaintext")
	}
	tx, err := p.jet.start(append(args, path, p.dino.bareJID())...)
	if err != nil {
		return nil, "", err
	}
	defer tx.close()
	code, err := tx.exit(ctx)
	if err == nil && code != 0 {
		err = fmt.Errorf("jetsend send: exit status %d; %s", code, tx.complaint())
	}
	if err != nil {
		return nil, "", err
	}
	got, err := p.dino.received(ctx, filepath.Base(path), encryption, false)
	if err == nil && !bytes.Equal(got, content) {
		err = errDiffers
	}
	return tx, filepath.Base(path), err
}

// between returns the time from one event to another, which is to be below a
// bound.
func (c *command) between(first, second string, bound time.Duration) (string, error) {
	a, one := c.find("", first)
	b, two := c.find("", second)
	if !one || !two {
		return "", errors.New("no event " + first + " or no event " + second)
	}
	took := b.Time.Sub(a.Time)
	if took >= bound {
		return "", fmt.Errorf("%s from %s to %s", took, first, second)
	}
	return took.Round(time.Millisecond).String(), nil
}
