package transfer

import (
	"context"

	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/source"
)

// contacts finds who can take a file.
func (e *core) contacts() *contact.Finder {
	return &contact.Finder{Account: e.sess, Keys: e.omemo, DB: e.db, Resource: e.resource, Report: e.cfg.Report, Log: e.log}
}

// contactOptions are what package contact has to know of a send.
func contactOptions(opt SendOptions) contact.Options {
	c := contact.Options{
		To: opt.To, Wait: opt.Wait, Patient: opt.Patient, Encryption: opt.Encryption,
		Cipher: opt.Cipher, HiddenName: opt.HiddenName, VerifiedReceipt: opt.VerifiedReceipt,
	}
	if len(opt.Files) == 1 {
		c.Path = opt.Files[0].Path
	}
	return c
}

func (e *core) await(ctx context.Context, opt SendOptions, least dialect.Form) ([]*contact.Peer, error) {
	return e.contacts().Await(ctx, contactOptions(opt), least)
}

// checkPeer says why the client cannot be given what was asked for.
func checkPeer(p *contact.Peer, opt SendOptions, sources []*source.Source) error {
	if err := p.Check(contactOptions(opt)); err != nil {
		return err
	}
	for _, s := range sources {
		if err := p.CheckSize(s.Name, s.Size); err != nil {
			return err
		}
	}
	return nil
}
