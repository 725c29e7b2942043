package transfer

import (
	"context"

	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
)

// The old names of what dialect has.
type (
	form   = dialect.Form
	client = dialect.Software
	// Encryption is a choice of form (`send --encryption`).
	Encryption = dialect.Choice
)

const (
	formNone              = dialect.FormNone
	formInsecurePlaintext = dialect.FormPlaintext
	formConversations     = dialect.FormConversations
	formDraft             = dialect.FormDraft
	formEncryptedFile     = dialect.FormEncryptedFile
	formJET               = dialect.FormJET
	formJetsend           = dialect.FormJetsend

	encryptionJET   = dialect.WordJET
	encryptionDraft = dialect.WordDraft
	encryptionFile  = dialect.WordEncryptedFile

	otherClient    = dialect.OtherClient
	dino           = dialect.Dino
	libervia       = dialect.Libervia
	conversations  = dialect.Conversations
	conversations1 = dialect.Conversations1
	aTalk          = dialect.ATalk
	jetsend        = dialect.Jetsend

	encryptionOther = dialect.ChooseOther
)

// The choices of form (`send --encryption`).
const (
	EncryptionAuto              = dialect.ChooseBest
	EncryptionJET               = dialect.ChooseJET
	EncryptionDraft             = dialect.ChooseDraft
	EncryptionFile              = dialect.ChooseEncryptedFile
	EncryptionInsecurePlaintext = dialect.ChoosePlaintext
	// NotEncrypted says, in the place of the word for what protects a file, that
	// nothing does.
	NotEncrypted = dialect.WordNone
)

// The old names of what package contact has.
type peer = contact.Peer

const nsJETOMEMO = contact.NSJETOMEMO

var (
	prefer     = contact.Prefer
	startsOver = contact.StartsOver
)

// contacts finds who can take a file.
func (e *Endpoint) contacts() *contact.Finder {
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

func (e *Endpoint) choose(ctx context.Context, opt SendOptions) ([]*peer, error) {
	return e.contacts().Choose(ctx, contactOptions(opt))
}

func (e *Endpoint) await(ctx context.Context, opt SendOptions, least form) ([]*peer, error) {
	return e.contacts().Await(ctx, contactOptions(opt), least)
}

func (e *Endpoint) chooseForm(ctx context.Context, opt SendOptions, least form) ([]*peer, error) {
	return e.contacts().ChooseForm(ctx, contactOptions(opt), least)
}

func wrapFailed(to *peer, err error) error { return contact.NoKeys(to.JID, err) }

func (e *Endpoint) guardForm(ctx context.Context, p *peer, opt SendOptions) error {
	return e.contacts().GuardForm(ctx, p, contactOptions(opt))
}

func (e *Endpoint) guardKeys(ctx context.Context, bare jid.JID, devices []omemo.Device, f form) error {
	return e.contacts().GuardKeys(ctx, bare, devices, f)
}

func (e *Endpoint) rememberJetsend(ctx context.Context, d omemo.Device) {
	e.contacts().RememberJetsend(ctx, d)
}

func (e *Endpoint) noResource(ctx context.Context, opt SendOptions, online, answered int) *Failure {
	return e.contacts().NoResource(ctx, contactOptions(opt), online, answered)
}

// checkPeer says why the client cannot be given what was asked for.
func checkPeer(p *peer, opt SendOptions, sources []*source) error {
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
