package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Sizes of the files that are passed. Dino takes files below 5,000,000 bytes
// from contacts by itself and shows larger ones with a button.
const (
	tiny   = 1
	small  = 300_000
	large  = 4_900_000
	larger = 6_000_000
)

// rigCells prove the rig: real clients among themselves.
//
// Two Dinos cannot use the proxy of Prosody 0.12 with its default network code:
// once the receiver has written anything (Dino writes 16 bytes), the proxy keeps
// the last part of the file back until the sender closes or writes more, and
// Dino closes only when it is told that the file has arrived. A jetsend, which
// closes its half after the last byte, can: see the cells send-proxy-*.
func rigCells() []cell {
	return []cell{
		{name: "rig-carbons", rig: true, run: rigCarbons, about: "a second client sees a chat as a carbon copy"},
		{name: "rig-direct", rig: true, run: dinoToDino(small, true, false), about: "Dino to Dino, 300 KB, direct"},
		{name: "rig-proxy", rig: true, buffered: true, run: dinoToDino(small, false, false), about: "Dino to Dino, 300 KB, through the server's proxy"},
		{name: "rig-click", rig: true, run: dinoToDino(larger, true, true), about: "Dino to Dino, 6 MB, accepted by a click"},
		{name: "rig-loss", rig: true, run: rigLoss, about: "Dino forgets its sessions, writes a message, and sends again"},
	}
}

// dinoToDino passes a file between two Dinos.
func dinoToDino(size int, direct, click bool) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		c, err := w.sharedCouple(ctx)
		if err != nil {
			return "", err
		}
		if err := errors.Join(c.a.setDirect(direct), c.b.setDirect(direct), c.b.knows(ctx, c.a)); err != nil {
			return "", err
		}
		path, content, err := w.rig.newFile(size)
		if err != nil {
			return "", err
		}
		before, start := c.a.logSize(), time.Now()
		if err := c.a.sendFile(ctx, path); err != nil {
			return "", err
		}
		got, err := c.b.received(ctx, filepath.Base(path), dinoOMEMO, click)
		if err != nil {
			return "", err
		}
		if !bytes.Equal(got, content) {
			return "", errDiffers
		}
		took := since(start)
		return took, c.a.wentDirect(before, direct)
	}
}

// wentDirect checks by the log that the path was a direct one, or none: only a proxy is
// activated (XEP-0260 section 2.4).
func (d *desktop) wentDirect(before int64, direct bool) error {
	text, err := d.logSince(before)
	if err != nil {
		return err
	}
	if activated := strings.Contains(string(text), ":activated"); activated == direct {
		return fmt.Errorf("direct is %v, but a proxy was activated: %v", direct, activated)
	}
	return nil
}

// knows checks that the other Dino's device, as the rig reads it, is the one
// that this Dino has learned from the network.
func (d *desktop) knows(ctx context.Context, other *desktop) error {
	id, fingerprint, err := other.device(ctx)
	if err != nil {
		return err
	}
	learned, err := d.learned(ctx, other.bareJID(), id)
	if err == nil && learned != fingerprint {
		err = fmt.Errorf("device %d of %s has the key %s, but is known with %q", id, other.user, fingerprint, learned)
	}
	return err
}

// rigLoss proves that a Dino can be made to forget and be started again.
func rigLoss(ctx context.Context, w *world) (string, error) {
	c, err := w.sharedCouple(ctx)
	if err != nil {
		return "", err
	}
	c.a.stop()
	if err := c.a.loseSessions(ctx); err != nil {
		return "", err
	}
	n, err := c.a.sessionsWith(ctx, c.b.bareJID(), 0)
	if err == nil && n != 0 {
		err = fmt.Errorf("%d sessions are left", n)
	}
	if err != nil {
		return "", err
	}
	if err := c.a.start(ctx); err != nil {
		return "", err
	}
	if err := c.a.say(ctx, "hello again"); err != nil {
		return "", err
	}
	err = poll(ctx, dinoTimeout, "wait for a new OMEMO session", func(ctx context.Context) (bool, error) {
		n, err := c.a.sessionsWith(ctx, c.b.bareJID(), 0)
		return n > 0, err
	})
	if err != nil {
		return "", err
	}
	return dinoToDino(small, true, false)(ctx, w)
}

// errDiffers means that not the bytes that were sent have arrived.
var errDiffers = errors.New("what was received differs from what was sent")

// rigCarbons proves that a person's second client sees what the first one is
// sent, so that other cells may conclude something from its seeing nothing.
func rigCarbons(ctx context.Context, w *world) (string, error) {
	a, b, err := w.newFriends(ctx, "romeo", "nurse")
	if err != nil {
		return "", err
	}
	first, err := newPerson(ctx, w.server, a, "first", 5)
	if err != nil {
		return "", err
	}
	defer first.leave()
	second, err := newPerson(ctx, w.server, a, "second", 0)
	if err != nil {
		return "", err
	}
	defer second.leave()
	friend, err := newPerson(ctx, w.server, b, "friend", 0)
	if err != nil {
		return "", err
	}
	defer friend.leave()
	if err := friend.chat(first.full, "good morrow"); err != nil {
		return "", err
	}
	if _, err := first.wait(ctx, "the message", isChat("good morrow")); err != nil {
		return "", err
	}
	_, err = second.wait(ctx, "its carbon copy", isCarbon("good morrow"))
	return "", err
}
