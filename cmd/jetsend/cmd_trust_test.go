package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
)

// Keys of romeo's two devices.
var (
	keyOne = strings.Repeat("01234567", 8)
	keyTwo = strings.Repeat("89abcdef", 8)
)

// device makes a contact's device known in the state of the fixture's account.
func (f *fixture) device(of string, id uint32, fingerprint string) {
	f.t.Helper()
	path := state.Path(filepath.Join(f.env["HOME"], ".local/state/jetsend"), scriptAccount)
	if err := makeDevice(path, of, id, fingerprint, true); err != nil {
		f.t.Fatal(err)
	}
}

// trusts returns how far a key of romeo's is trusted.
func (f *fixture) trusts(fingerprint string) string {
	f.t.Helper()
	f.wants(0, nil, "--json", "trust", "list", "romeo@montague.example")
	for line := range strings.Lines(f.out.String()) {
		if strings.Contains(line, fingerprint) {
			_, rest, _ := strings.Cut(line, `"trust":"`)
			word, _, _ := strings.Cut(rest, `"`)
			return word
		}
	}
	return ""
}

func TestTrustByFingerprint(t *testing.T) {
	f := newFixture(t)
	delete(f.env, "JETSEND_PASSWORD") // no network is needed
	f.file(".config/jetsend/config.yaml", "contacts: {romeo: romeo@montague.example/orchard}\n")
	f.device("romeo@montague.example", 27183, keyOne)
	f.device("romeo@montague.example", 31415, keyTwo)
	if f.trusts(keyOne) != "blind" {
		t.Fatal("nothing is blind to begin with")
	}
	f.wants(0, []string{"verified: device 27183 of romeo@montague.example", "not used any more until it is verified: device 31415"},
		append([]string{"trust", "verify", "romeo"}, strings.Fields(groups(strings.ToUpper(keyOne)))...)...)
	if f.trusts(keyOne) != "verified" || f.trusts(keyTwo) != "undecided" {
		t.Error("one is", f.trusts(keyOne), "two is", f.trusts(keyTwo))
	}
	f.wants(0, nil, "--json", "trust", "distrust", "romeo@montague.example", "05"+keyTwo)
	f.wants(0, []string{"distrusted: device 31415"}, "trust", "distrust", "romeo@montague.example", groups(keyTwo))
	want := regexp.MustCompile("romeo@montague.example +31415 +distrusted +never used +" + groups(keyTwo))
	if !want.MatchString(f.out.String()) {
		t.Errorf("%q is not in:\n%s", want, f.out.String())
	}
	f.wants(0, nil, "trust", "verify", "xmpp:romeo@montague.example?omemo-sid-31415="+keyTwo)
	if f.trusts(keyOne) != "verified" || f.trusts(keyTwo) != "verified" {
		t.Error("one is", f.trusts(keyOne), "two is", f.trusts(keyTwo))
	}
	if len(f.dialled) > 0 {
		t.Error("went online")
	}
}

func TestTrustUsage(t *testing.T) {
	f := newFixture(t)
	f.device("romeo@montague.example", 27183, keyOne)
	f.wants(0, nil, "--json", "trust", "list")
	_, own, _ := strings.Cut(f.out.String(), `"fingerprint":"`)
	own = own[:64]
	uri := "xmpp:romeo@montague.example?omemo-sid-27183=" + keyOne
	for _, tt := range []struct {
		args []string
		says string
	}{
		{nil, "whose keys? there is no terminal to ask on"},
		{[]string{"nobody"}, "neither an address"},
		{[]string{"romeo@montague.example", keyOne[1:]}, "hint: it is 64 hex digits"},
		{[]string{"paris@verona.example", uri}, "the URI is of romeo@montague.example, not of paris@verona.example"},
		{[]string{"xmpp:romeo@montague.example?omemo-sid-x=1"}, "is not an address with keys"},
		{[]string{"xmpp:romeo@montague.example"}, "hint: after comparing " + groups(keyOne)},
		{[]string{"juliet@capulet.example", own}, "this is the key of this device itself"},
		{[]string{"romeo@montague.example"}, "hint: after comparing " + groups(keyOne) + ": run `jetsend trust verify romeo@montague.example " + keyOne + "` (device 27183)"},
		{[]string{"paris@verona.example"}, "hint: run `jetsend trust verify paris@verona.example FINGERPRINT`"},
	} {
		f.wants(2, []string{tt.says}, append([]string{"trust", "verify"}, tt.args...)...)
	}
	if len(f.dialled) > 0 {
		t.Error("went online")
	}
}

// TestTrustLearns: a key that is not known yet is looked for online, and one
// that no device has is code 9, with nothing decided.
func TestTrustLearns(t *testing.T) {
	f := newFixture(t)
	f.endpoint.learn = func() error {
		f.device("romeo@montague.example", 27183, keyOne)
		return nil
	}
	f.wants(0, []string{"verified: device 27183"}, "trust", "verify", "romeo@montague.example", keyOne)
	f.wants(9, []string{"no known device of romeo@montague.example has the key " + groups(keyTwo), "hint: see `jetsend trust list romeo@montague.example`", "somebody in between"},
		"trust", "verify", "romeo@montague.example", keyTwo)
	f.wants(9, []string{"device 27183 of romeo@montague.example has the key " + groups(keyOne) + ", not " + groups(keyTwo)},
		"trust", "verify", "xmpp:romeo@montague.example?omemo-sid-27183="+keyTwo)
	f.wants(9, []string{"the key " + groups(keyOne) + " is that of device 27183 of romeo@montague.example, not of device 31415"},
		"trust", "verify", "xmpp:romeo@montague.example?omemo-sid-31415="+keyOne)
	f.wants(9, nil, "trust", "distrust", "xmpp:romeo@montague.example?omemo-sid-27183="+keyOne+";omemo-sid-31415="+keyTwo)
	if f.trusts(keyOne) != "verified" {
		t.Error("half of what was asked for was done")
	}
	f.endpoint.learn = func() error { return fmt.Errorf("refresh: %w", omemo.ErrNoDevice) }
	f.wants(9, []string{"no known device of paris"}, "trust", "verify", "paris@verona.example", keyOne)
	f.endpoint.learn = func() error { return fmt.Errorf("refresh: %w", stanza.NewError("forbidden")) }
	f.wants(9, []string{"the keys of paris@verona.example cannot be fetched", "hint: check the address"}, "trust", "verify", "paris@verona.example", keyOne)
	f.endpoint.learn = func() error { return omemo.ErrNoDevice }
	f.tty = &fakeTTY{}
	f.wants(9, []string{"paris@verona.example has no OMEMO device"}, "trust", "verify", "paris@verona.example")
	f.dialErr = errors.New("boom")
	f.wants(1, []string{"boom"}, "trust", "verify", "paris@verona.example", keyOne)
}

func TestTrustAsks(t *testing.T) {
	f := newFixture(t)
	f.device("romeo@montague.example", 27183, keyOne)
	f.device("romeo@montague.example", 31415, keyTwo)
	f.device("juliet@capulet.example", 16180, strings.Repeat("ff", 32)) // another device of our own
	f.tty = &fakeTTY{answers: []string{"", "YES"}}
	f.wants(0, []string{"verified: device 31415"}, "trust", "verify", "romeo@montague.example")
	if want := "romeo@montague.example, device 27183 (blind, never used)\n" + keyLines(keyOne) + "\nDoes the contact's device show the same key? [y/N] "; f.tty.shown[0] != want {
		t.Errorf("asked %q, want %q", f.tty.shown[0], want)
	}
	f.tty = &fakeTTY{answers: []string{"no"}} // only what is open
	f.wants(0, []string{"nothing has changed"}, "trust", "verify", "romeo@montague.example")
	if len(f.tty.shown) != 1 || !strings.Contains(f.tty.shown[0], "27183 (undecided") {
		t.Errorf("asked %q", f.tty.shown)
	}
	f.tty = &fakeTTY{answers: []string{"y", "y"}} // everybody's
	f.wants(0, []string{"verified: device 16180 of juliet@capulet.example", "verified: device 27183 of romeo@montague.example"}, "trust", "verify")
	f.tty = &fakeTTY{}
	f.wants(0, []string{"there is nothing to decide"}, "trust", "verify")
	f.tty = &fakeTTY{answers: []string{"y", "n"}}
	f.wants(0, []string{"distrusted: device 27183"}, "trust", "distrust", "romeo@montague.example")
	f.tty = &fakeTTY{err: errors.New("hung up")}
	f.wants(1, []string{"hung up"}, "trust", "distrust", "romeo@montague.example")
	if len(f.dialled) > 0 {
		t.Error("went online")
	}
}

// TestTrustChanged: a device that shows another key than before gets it when the
// user has compared it, by fingerprint, by address or asked, and not otherwise.
func TestTrustChanged(t *testing.T) {
	f := newFixture(t)
	keyThree := strings.Repeat("fedcba98", 8)
	romeo := jid.MustParse("romeo@montague.example")
	shows := func(known, key string) {
		f.endpoint.changed = []device{{JID: romeo, ID: 27183, Fingerprint: key, Known: known, Trust: "changed", Active: true}}
	}
	f.device(romeo.String(), 27183, keyOne)
	f.wants(0, nil, "trust", "verify", romeo.String(), keyOne)
	shows(keyOne, keyTwo)
	f.wants(9, []string{"device 27183 of romeo@montague.example has the key"}, "trust", "verify", "xmpp:romeo@montague.example?omemo-sid-27183="+keyThree)
	f.wants(9, []string{"no known device"}, "trust", "distrust", romeo.String(), keyTwo)
	f.tty = &fakeTTY{answers: []string{"n"}}
	f.wants(0, []string{"nothing has changed"}, "trust", "verify", romeo.String())
	if want := "romeo@montague.example, device 27183 (changed, so far " + groups(keyOne) + ")\n" + keyLines(keyTwo) + "\n"; !strings.HasPrefix(f.tty.shown[0], want) {
		t.Errorf("asked %q, want %q", f.tty.shown[0], want)
	}
	if f.trusts(keyOne) != "verified" || f.trusts(keyTwo) != "" {
		t.Fatal("a key was taken that nobody compared")
	}
	f.tty.answers = []string{"y"}
	f.wants(0, []string{"verified: device 27183"}, "trust", "verify", romeo.String())
	if f.trusts(keyOne) != "" || f.trusts(keyTwo) != "verified" {
		t.Error("the compared key was not taken:", f.out.String())
	}
	f.tty = nil
	shows(keyTwo, keyThree)
	f.wants(0, []string{"verified: device 27183"}, "trust", "verify", romeo.String(), keyThree)
	shows(keyThree, keyOne)
	f.wants(0, []string{"verified: device 27183"}, "trust", "verify", "xmpp:romeo@montague.example?omemo-sid-27183="+keyOne)
	f.endpoint.changed, f.tty = nil, &fakeTTY{}
	f.wants(0, []string{"there is nothing to decide"}, "trust", "verify", romeo.String())
}

func TestTrustHints(t *testing.T) {
	who := jid.MustParse("romeo@montague.example")
	for kind, want := range map[omemo.TrustKind]string{
		omemo.Changed:    "only if their device really shows it, run `jetsend trust verify romeo@montague.example " + keyOne + "`",
		omemo.Revoked:    "run `jetsend trust verify romeo@montague.example " + keyOne + "`",
		omemo.Unverified: "run `jetsend trust verify romeo@montague.example " + keyOne + "`",
	} {
		hints := strings.Join(fault.TrustHints(&omemo.TrustError{JID: who, Device: 1, Fingerprint: keyOne, Known: keyTwo, Kind: kind}), "\n")
		if !strings.Contains(hints, want) {
			t.Errorf("%s: %s", kind, hints)
		}
		for key, shown := range map[string]bool{keyOne: kind != omemo.Revoked, keyTwo: kind == omemo.Changed} {
			if strings.Contains(hints, groups(key)) != shown {
				t.Errorf("%s, %s to compare: %s", kind, key, hints)
			}
		}
	}
	if hints := fault.TrustHints(&omemo.TrustError{JID: who, Kind: omemo.Unverified}); !strings.HasSuffix(hints[0], "romeo@montague.example`") {
		t.Errorf("without a key: %q", hints)
	}
}
