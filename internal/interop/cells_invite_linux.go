package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// inviteCells are about people who have Dino and jetsend, and an invitation.
func inviteCells() []cell {
	return []cell{
		{name: "invite-beside-dino", run: inviteBesideDino, about: "romeo's jetsend redeems an invitation: his Dino is refused from then on, by name, until it is verified"},
	}
}

// codeUntrusted is the exit code for keys that are not used.
const codeUntrusted = 9

func inviteBesideDino(ctx context.Context, w *world) (string, error) {
	p, err := w.newPair(ctx)
	if err != nil {
		return "", err
	}
	defer p.dino.close()
	if err := p.dino.start(ctx); err != nil {
		return "", err
	}
	if err := p.acquaint(ctx); err != nil {
		return "", fmt.Errorf("before the invitation: %w", err)
	}
	rx, err := p.jet.receive(ctx)
	if err != nil {
		return "", err
	}
	defer rx.close()
	if err := p.redeem(ctx); err != nil {
		return "", err
	}
	if _, err := rx.wait(ctx, "", "acquainted"); err != nil {
		return "", err
	}
	fingerprint, err := p.refused(ctx, rx)
	if err != nil {
		return "", err
	}
	verify, err := p.jet.start("trust", "verify", p.dino.bareJID(), fingerprint)
	if err != nil {
		return "", err
	}
	if code, err := verify.exit(ctx); err != nil || code != 0 {
		return "", fmt.Errorf("trust verify: %d, %w; %s", code, err, verify.complaint())
	}
	return p.sendFromDino(ctx, rx, viaDirect, small)
}

// redeem has the jetsend of who has Dino redeem an invitation of the other one.
func (p *pair) redeem(ctx context.Context) error {
	inviting, err := p.jet.start("--json", "invite")
	if err != nil {
		return err
	}
	e, err := inviting.wait(ctx, "", "invitation")
	if err != nil {
		return err
	}
	beside := p.jet.world.newAccount(p.dino.user)
	beside.dir += "-jetsend"
	beside.stderr = filepath.Join(beside.dir, "stderr.log")
	if err := os.MkdirAll(beside.dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	link := filepath.Join(beside.dir, "link")
	if err := os.WriteFile(link, []byte(e.Link+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the link: %w", err)
	}
	adding, err := beside.start("--json", "contacts", "add", "--link-file", link)
	if err != nil {
		return err
	}
	code, err := adding.exit(ctx)
	if err == nil && code != 0 {
		err = fmt.Errorf("contacts add: %d; %s", code, adding.complaint())
	}
	return err
}

// refused has Dino send, and looks at the refusal: it names Dino's device and what to do.
func (p *pair) refused(ctx context.Context, rx *command) (fingerprint string, err error) {
	_, fingerprint, err = p.dino.device(ctx)
	if err != nil {
		return "", err
	}
	path, _, err := p.jet.world.rig.newFile(small)
	if err != nil {
		return "", err
	}
	if err := p.dino.sendFile(ctx, path); err != nil {
		return "", err
	}
	e, err := rx.wait(ctx, "", "failed")
	if err != nil {
		return "", err
	}
	if said := rx.complaint(); e.Code != codeUntrusted || !strings.Contains(said, "jetsend trust verify "+p.dino.bareJID()+" "+fingerprint) {
		return "", fmt.Errorf("the refusal is %+v; %s", e, said)
	}
	return fingerprint, nil
}
