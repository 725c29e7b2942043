package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jetsend/internal/acquaint"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/state"
)

// invites makes an invitation and returns its link.
func (f *fixture) invites(args ...string) string {
	f.t.Helper()
	f.wants(0, nil, append([]string{"--json", "invite"}, args...)...)
	var row invitationRecord
	if err := json.Unmarshal(f.out.Bytes(), &row); err != nil {
		f.t.Fatalf("%v: %s", err, f.out.String())
	}
	return row.Link
}

// TestInvite: the link, its list, and taking it back, without a network.
func TestInvite(t *testing.T) {
	f := newFixture(t)
	f.wants(3, []string{"this machine has no device of juliet@capulet.example yet", "hint: run `jetsend login juliet@capulet.example`"}, "invite")
	f.device("romeo@montague.example", 27183, keyOne)
	f.wants(0, []string{"the link is a secret", "they run `jetsend contacts add`", "to let them in run `jetsend receive`"}, "invite")
	link := strings.TrimSpace(f.out.String())
	l, err := invite.ParseLink(link)
	if err != nil || l.Issuer.String() != "juliet@capulet.example" {
		t.Fatalf("%q: %v", link, err)
	}
	name := fmt.Sprintf("%x", l.ID[:4])
	f.wants(0, nil, "invite", "list")
	if out := f.out.String(); !strings.HasPrefix(out, name+"  open  for anybody") || strings.Contains(out, "xmpp:") {
		t.Errorf("listed as %q", out)
	}
	f.wants(0, []string{"the invitation " + name + " is taken back"}, "invite", "revoke", name)
	f.wants(2, []string{"is revoked already"}, "invite", "revoke", name)
	f.wants(2, []string{`there is no invitation "zz"`, "run `jetsend invite list`"}, "invite", "revoke", "zz")
	f.wants(2, []string{"your own address"}, "invite", "juliet@capulet.example")
	for _, wrong := range []string{"--uses=0", "--uses=1001", "--for=0", "--for=9000h"} {
		f.wants(2, nil, "invite", wrong)
	}
	if len(f.dialled) > 0 {
		t.Error("went online")
	}
	f.wants(0, []string{"waiting up to 1m for somebody"}, "invite", "--wait", "1m")
	if len(f.dialled) != 1 || !f.dialled[0].Acquaint || !strings.Contains(f.err.String(), "was used 1 of 1 times") {
		t.Errorf("dialled %+v\n%s", f.dialled, f.err.String())
	}
	f.wants(2, []string{"--any-client lets one in"}, "invite", "--any-client", "--uses=2")
}

// TestRefusedDevices: which devices an invitation makes useless is said before, and asked where
// they are used.
func TestRefusedDevices(t *testing.T) {
	f := newFixture(t)
	f.device("romeo@montague.example", 27183, keyOne)
	f.used(27183)
	f.wants(9, []string{
		"device 27183 of romeo@montague.example, used ", "will be refused unless it is the one that uses the invitation", "would be refused", "--only-named",
		"`jetsend trust verify romeo@montague.example`",
	}, "invite", "romeo@montague.example")
	f.wants(0, []string{"will be refused"}, "invite", "romeo@montague.example", "--only-named")
	f.tty = &fakeTTY{answers: []string{"n", "y"}}
	f.wants(9, nil, "invite", "romeo@montague.example")
	f.wants(0, nil, "invite", "romeo@montague.example")
	f.tty = nil
	// A link that names the device refuses nobody.
	l := invite.NewLink(jid.MustParse("romeo@montague.example"), invite.Named(deviceNamed(27183, keyOne)))
	f.file("link", l.String()+"\n")
	path := filepath.Join(f.env["HOME"], "link")
	f.wants(0, []string{"showing the invitation to romeo@montague.example", "to send a file run `jetsend send FILE romeo@montague.example`"}, "contacts", "add", "--link-file", path)
	if strings.Contains(f.err.String(), "refused") || !slices.Equal(f.endpoint.done, []string{"redeem romeo@montague.example"}) {
		t.Errorf("%q\n%s", f.endpoint.done, f.err.String())
	}
	l.Names = invite.Named(deviceNamed(27184, keyTwo))
	f.file("link", l.String())
	f.wants(9, []string{"device 27183 of romeo@montague.example", "will be refused\n"}, "contacts", "add", "--link-file", path)
	f.wants(0, nil, "contacts", "add", "--only-named", "--link-file", path)
}

// used has a device take part in a transfer.
func (f *fixture) used(id uint32) {
	f.t.Helper()
	db, err := state.Open(f.t.Context(), state.Path(filepath.Join(f.env["HOME"], ".local/state/jetsend"), scriptAccount))
	if err != nil {
		f.t.Fatal(err)
	}
	err = state.Exec(f.t.Context(), db, `UPDATE devices SET last_used = 1000000000000, is_new = 0 WHERE device = ?`, id)
	if err = errors.Join(err, db.Close()); err != nil {
		f.t.Fatal(err)
	}
}

func deviceNamed(id uint32, fingerprint string) invite.Device {
	d := invite.Device{ID: id}
	_, _ = fmt.Sscanf(fingerprint, "%x", (*hexKey)(&d.Key))
	return d
}

// hexKey reads a key from its digits.
type hexKey [invite.KeySize]byte

func (k *hexKey) Scan(state fmt.ScanState, _ rune) error {
	var b []byte
	if _, err := fmt.Fscanf(state, "%x", &b); err != nil {
		return err
	}
	copy(k[:], b)
	return nil
}

// TestContactsAddLink: where the link may come from, and what comes of it.
func TestContactsAddLink(t *testing.T) {
	f := newFixture(t)
	f.device("nurse@capulet.example", 1, keyTwo)
	own := f.invites()
	l := invite.NewLink(jid.MustParse("romeo@montague.example"), invite.Named(deviceNamed(27183, keyOne)))
	f.wants(2, []string{"no contact and no invitation was given"}, "contacts", "add")
	f.tty = &fakeTTY{answers: []string{l.String(), " "}}
	f.wants(0, nil, "contacts", "add")
	f.wants(2, []string{"nothing was pasted"}, "contacts", "add")
	f.tty = nil
	f.wants(0, []string{"others on this machine may see arguments"}, "contacts", "add", l.String(), "romeo")
	f.wants(2, []string{"this invitation is your own"}, "contacts", "add", own)
	f.wants(2, []string{"not an invitation of jetsend: it is not whole"}, "contacts", "add", l.String()[:len(l.String())-3])
	f.wants(2, []string{"there is no invitation in what was read"}, "contacts", "add", "-")
	f.wants(12, nil, "contacts", "add", "--link-file", filepath.Join(f.env["HOME"], "none"))
	if err := os.WriteFile(filepath.Join(f.env["HOME"], "link"), []byte("juliet@capulet.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.wants(2, []string{"not an invitation of jetsend"}, "contacts", "add", "--link-file", filepath.Join(f.env["HOME"], "link"))
	for _, args := range [][]string{
		{"contacts", "add", "--link-file", "x", "y", l.String()}, {"contacts", "add", "a@b.example", l.String()}, {"contacts", "add", "a@b.example", "c", l.String()},
		{"contacts", "add", "--link-file", l.String()}, {"invite", "a@b.example", l.String()}, {"invite", l.String()}, {"register", l.String()}, {"logout", l.String()},
	} {
		if f.wants(2, nil, args...); strings.Contains(f.err.String(), l.String()[len(l.String())-40:]) {
			t.Errorf("the secret is shown: %s", f.err.String())
		}
	}
	f.wants(2, []string{"the invitation is cut off", "run `jetsend contacts add` and paste it"}, "contacts", "add", "xmpp:romeo@montague.example?roster")
	want := []string{"redeem romeo@montague.example", "redeem romeo@montague.example", "name romeo@montague.example romeo"}
	if !slices.Equal(f.endpoint.done, want) {
		t.Errorf("%q", f.endpoint.done)
	}
	f.endpoint.result = &acquaint.VerdictError{Issuer: l.Issuer, Verdict: invite.Expired}
	f.wants(8, []string{"the invitation of romeo@montague.example has expired", "ask romeo@montague.example for another one"}, "contacts", "add", l.String())
	if secret := l.String()[len(l.String())-40:]; strings.Contains(f.err.String(), secret) {
		t.Errorf("the secret is shown: %s", f.err.String())
	}
}
