package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// healTries is how often a file is sent after an accident: the first try may
// be refused, and heals; the next one works.
const healTries = 2

// firstContactCells begin with two who never heard of each other.
func firstContactCells() []cell {
	return []cell{
		{name: "first-contact", run: firstContact, about: "jetsend comes online for the first time; Dino, online, sends without having typed"},
		{name: "first-contact-later", run: firstContactLater, about: "the same, but Dino comes online after jetsend"},
	}
}

func firstContact(ctx context.Context, w *world) (string, error) {
	p, err := w.newPair(ctx)
	if err != nil {
		return "", err
	}
	defer p.dino.close()
	if err := p.dino.start(ctx); err != nil {
		return "", err
	}
	return p.firstFile(ctx, func() error { return nil })
}

func firstContactLater(ctx context.Context, w *world) (string, error) {
	p, err := w.newPair(ctx)
	if err != nil {
		return "", err
	}
	defer p.dino.close()
	return p.firstFile(ctx, func() error { return p.dino.start(ctx) })
}

// firstFile brings jetsend online, then Dino, and lets Dino send.
func (p *pair) firstFile(ctx context.Context, startDino func() error) (string, error) {
	rx, err := p.jet.receive(ctx)
	if err != nil {
		return "", err
	}
	defer rx.close()
	if err := startDino(); err != nil {
		return "", err
	}
	if err := p.waitPrimed(ctx); err != nil {
		return "", fmt.Errorf("%w; %s", err, rx.complaint())
	}
	note, err := p.sendFromDino(ctx, rx, viaDirect, small)
	if err != nil {
		return "", err
	}
	n, err := p.dino.messages(ctx)
	if err == nil && n != 0 {
		err = fmt.Errorf("Dino has %d chat messages, and nobody wrote any", n)
	}
	return note, err
}

// lossCells lose the sessions of one side after files have passed.
func lossCells() []cell {
	return []cell{
		{name: "loss-ours-send", run: lossCell(loseOurs, true), about: "jetsend lost its sessions; jetsend sends"},
		{name: "loss-ours-receive", run: lossCell(loseOurs, false), about: "jetsend lost its sessions; Dino sends"},
		{name: "loss-dino-send", run: lossCell(loseDinos, true), about: "Dino lost its sessions; jetsend sends"},
		{name: "loss-dino-receive", run: lossCell(loseDinos, false), about: "Dino lost its sessions; Dino sends"},
	}
}

func loseOurs(ctx context.Context, p *pair) error { return p.jet.loseSessions(ctx) }

func loseDinos(ctx context.Context, p *pair) error {
	p.dino.stop()
	if err := p.dino.loseSessions(ctx); err != nil {
		return err
	}
	return p.dino.start(ctx)
}

// lossCell passes a file each way, lets lose happen while jetsend is offline,
// and passes another: from jetsend when send is true, else from Dino.
func lossCell(lose func(context.Context, *pair) error, send bool) func(context.Context, *world) (string, error) {
	return func(ctx context.Context, w *world) (string, error) {
		p, err := w.sharedPair(ctx)
		if err != nil {
			return "", err
		}
		if err := p.acquaint(ctx); err != nil {
			return "", fmt.Errorf("before the loss: %w", err)
		}
		if err := lose(ctx, p); err != nil {
			return "", err
		}
		if send {
			return tries(func() (string, error) { return p.sendToDino(ctx, viaDirect, small, false) })
		}
		rx, err := p.jet.receive(ctx)
		if err != nil {
			return "", err
		}
		defer rx.close()
		return tries(func() (string, error) { return p.sendFromDino(ctx, rx, viaDirect, small) })
	}
}

// acquaint passes a file each way, so that both have sessions that both used.
func (p *pair) acquaint(ctx context.Context) error {
	rx, err := p.jet.receive(ctx)
	if err != nil {
		return err
	}
	defer rx.close()
	if err := p.waitPrimed(ctx); err != nil {
		return err
	}
	if _, err := p.sendFromDino(ctx, rx, viaDirect, tiny); err != nil {
		return err
	}
	_, err = p.sendToDino(ctx, viaDirect, tiny, false)
	return err
}

// tries runs one up to healTries times and notes which one worked, and what was
// wrong before.
func tries(one func() (string, error)) (string, error) {
	var errs error
	for n := range healTries {
		note, err := one()
		if err == nil {
			if errs != nil {
				note += ", after " + strings.Join(strings.Fields(errs.Error()), " ")
			}
			return fmt.Sprintf("try %d, %s", n+1, note), nil
		}
		errs = errors.Join(errs, fmt.Errorf("try %d: %w", n+1, err))
	}
	return "", errs
}
