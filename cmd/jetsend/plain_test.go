package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"jetsend/internal/dialect"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/transfer"
)

// TestInsecureFlag: the flag and nothing else makes a file go unencrypted, or be taken.
func TestInsecureFlag(t *testing.T) {
	f := newFixture(t)
	a := f.file("a.txt", "text")
	f.file(".config/jetsend/config.yaml", "send: {cipher: aes-128-gcm, encryption: jet}\nreceive: {accept: contacts}\n")
	f.wants(0, nil, "send", "--insecure-plaintext", a, "romeo@montague.example")
	f.wants(0, nil, "send", "--insecure-plaintext=false", a, "romeo@montague.example")
	f.wants(0, nil, "send", a, "romeo@montague.example")
	for i, want := range []dialect.Choice{dialect.ChoosePlaintext, dialect.ChooseJET, dialect.ChooseJET} {
		if o := f.endpoint.sent[i]; o.Encryption != want || (o.Cipher == "") != (i == 0) {
			t.Errorf("send %d: %q, %q", i, o.Encryption, o.Cipher)
		}
	}
	f.wants(0, nil, "receive", "--dir", f.env["HOME"])
	f.wants(0, nil, "receive", "--dir", f.env["HOME"], "--insecure-plaintext")
	for i, want := range []bool{false, true} {
		if f.endpoint.received[i].InsecurePlaintext != want {
			t.Errorf("receive %d: %+v", i, f.endpoint.received[i])
		}
	}
}

// TestAskInsecure: a user who is asked about an unencrypted file is told so, in the
// last line too, and of no key.
func TestAskInsecure(t *testing.T) {
	f := newFixture(t)
	f.tty = &fakeTTY{answers: []string{"y"}}
	f.endpoint.during = func(ctx context.Context, e *fakeEndpoint) error {
		q := transfer.Question{Peer: jid.MustParse("romeo@montague.example/orchard"), Name: "a.iso", Size: 1500, Insecure: true}
		if yes, err := e.received[0].Ask(ctx, q); !yes || err != nil {
			t.Error(yes, err)
		}
		return nil
	}
	f.wants(0, nil, "receive", "--dir", f.env["HOME"], "--insecure-plaintext")
	const shown = "\a" + `  NOT ENCRYPTED: others can read and change it, and only the server says who it is from
Accept UNENCRYPTED a.iso (1.5 kB) from romeo@montague.example? [y/N] `
	if len(f.tty.shown) != 1 || f.tty.shown[0] != shown {
		t.Errorf("asked %q", f.tty.shown)
	}
}

// TestInsecureTransfers: one that went unencrypted is shown as what it is, and is not
// among those that can be gone on with.
func TestInsecureTransfers(t *testing.T) {
	f := newFixture(t)
	row := sentRow("f0000000")
	row.Profile, row.Keys = false, [][]byte{journal.NoKey()}
	f.row(row, journal.Interrupted, 5)
	f.wants(0, []string{"nothing to resume"}, "resume")
	f.wants(7, []string{"f0000000 (a.iso) went unencrypted", "hint: send it again with `jetsend send --insecure-plaintext /srv/a.iso romeo@montague.example`"}, "resume", "f000")
	if len(f.dialled) > 0 {
		t.Error("went online for nothing")
	}
	f.wants(0, nil, "transfers", "show", "f000")
	if got := f.out.String(); !strings.Contains(got, "NOT ENCRYPTED") || strings.Contains(got, "00000000 00000000") {
		t.Error(got)
	}
	f.wants(0, nil, "--json", "transfers", "list")
	if !bytes.Contains(f.out.Bytes(), []byte(`"resumable":false`)) || !bytes.Contains(f.out.Bytes(), []byte(`"fingerprints":[]`)) {
		t.Error(f.out.String())
	}
}
