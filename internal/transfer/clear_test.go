package transfer

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// forms returns b in every encoding in which it could hide in a stanza. The
// inner part of a base64 or base32 text does not depend on what follows it, but on
// the offset of b in what was encoded; so all offsets are tried and the ends left away.
func forms(b []byte) map[string][]byte {
	out := map[string][]byte{
		"raw": b, "hex": []byte(hex.EncodeToString(b)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(b))),
		"url": []byte(url.QueryEscape(string(b))),
	}
	for shift := range 5 {
		shifted := append(make([]byte, shift), b...)
		for name, enc := range map[string]func([]byte) string{
			"base64": base64.RawStdEncoding.EncodeToString, "base64url": base64.RawURLEncoding.EncodeToString,
			"base32": base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString,
		} {
			s := enc(shifted)
			skip, tail := 4*(shift+2)/3+1, 2
			if name == "base32" {
				skip = 8*(shift+4)/5 + 1
			}
			if len(s) > skip+tail+8 {
				out[name+string(rune('0'+shift))] = []byte(s[skip : len(s)-tail])
			}
		}
	}
	return out
}

// TestNothingInTheClear: the servers' stanzas hold no key, no name and no hash
// of the plaintext, and the bytestream none of the plaintext.
func TestNothingInTheClear(t *testing.T) {
	s := prosody(t)
	tap := xmpptest.StartTap(t, s, xmpptest.Pass)
	dir := t.TempDir()
	plain := bytes.Repeat([]byte("To be, or not to be, that is the question. "), 2000)
	name := "confidential-report-2026.txt"
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, plain, 0o600); err != nil {
		t.Fatal(err)
	}
	var in events
	var key, iv []byte
	var o *offering
	juliet := online(t, s, tap.Addr, "juliet", true, in.report)
	romeo := online(t, s, tap.Addr, "romeo", false, func(ev event.Event) {
		if _, ok := ev.(event.Negotiated); ok {
			key, iv = o.talk.Dialect.Secret().Key(), o.talk.Dialect.Secret().IV() // on the goroutine of the transfer
		}
	})
	// The path of the bytes leads through a relay that keeps them.
	juliet.cfg.S5B.ListenPorts = []int{freePort(t)}
	relay := xmpptest.StartRelay(t, addrOf(juliet.cfg.S5B.ListenPorts[0]), xmpptest.Both())
	juliet.cfg.S5B.Advertise = []string{relay.Addr}
	romeo.cfg.S5B.Advertise = []string{"127.0.0.1:1"}
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts})
	src, err := source.Open(t.Context(), source.Named{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	o = romeo.offering(SendOptions{To: jid.MustParse("juliet@jet.test"), Description: "the confidential description", Checksum: true}, src, nil)
	resources, err := romeo.choose(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if code := o.start(t.Context(), resources, ""); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	waitIdle(t, juliet)
	got, ok := last[event.Received](&in)
	if !ok || got.Name != name {
		t.Fatalf("received: %+v", got)
	}
	if len(key) != 32 || len(iv) != 12 {
		t.Fatalf("no key to look for: %d %d", len(key), len(iv))
	}
	var stanzas bytes.Buffer
	for _, st := range tap.Stanzas() {
		stanzas.Write(st.Raw)
		stanzas.WriteByte('\n')
	}
	h1, h256, h512, h5 := sha1.Sum(plain), sha256.Sum256(plain), sha512.Sum512(plain), md5.Sum(plain)
	for what, secret := range map[string][]byte{
		"key": key, "key half": key[:16], "iv": iv, "name": []byte(name), "description": []byte("confidential description"),
		"sha-1": h1[:], "sha-256": h256[:], "sha-512": h512[:], "md5": h5[:], "plaintext": plain[:64],
	} {
		for form, b := range forms(secret) {
			if bytes.Contains(stanzas.Bytes(), b) {
				t.Errorf("the stanzas hold the %s (%s)", what, form)
			}
		}
	}
	// The search must be able to find something.
	if !bytes.Contains(stanzas.Bytes(), []byte("session-initiate")) || !bytes.Contains(stanzas.Bytes(), []byte("<received")) {
		t.Error("the tap saw no transfer")
	}
	carried := relay.Carried()
	wire := append(carried.Up, carried.Down...)
	if len(wire) != len(plain)+16 {
		t.Errorf("%d bytes on the wire for %d", len(wire), len(plain))
	}
	for i := 0; i+12 <= 43; i++ {
		if bytes.Contains(wire, plain[i:i+12]) {
			t.Errorf("the bytestream holds plaintext %q", plain[i:i+12])
		}
	}
	if bytes.Contains(wire, key) || bytes.Contains(wire, []byte(name)) {
		t.Error("the bytestream holds the key or the name")
	}
}

// TestHostileNames: what a sender calls a file decides nothing about where it goes.
func TestHostileNames(t *testing.T) {
	s := prosody(t)
	parent := t.TempDir()
	dir := filepath.Join(parent, "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts})
	for name, want := range map[string]string{
		"../escape": "escape", "/abs/olute": "olute", `..\win`: "win", "..": "file", "../": "file (1)", ".hidden": "_hidden",
		"nul\x00byte": "nul\uFFFDbyte", "CON": "_CON", strings.Repeat("é", 300) + ".txt": strings.Repeat("é", 125) + ".txt",
		"turn\u202earound": "turn_around", ".jetsend-x.part": "_jetsend-x.part",
	} {
		in.reset()
		if err := romeo.Send(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: path, Name: name}}, Wait: time.Minute}); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		waitIdle(t, juliet)
		got, _ := last[event.Received](&in)
		if want == "file" || want == "file (1)" { // whichever came first
			want = filepath.Base(got.Path)
			if !strings.HasPrefix(want, "file") {
				t.Errorf("%q: %s", name, got.Path)
			}
		}
		if got.Path != filepath.Join(dir, want) {
			t.Errorf("%q: %s", name, got.Path)
		}
	}
	if names := list(t, parent); len(names) != 1 {
		t.Errorf("beside the download directory: %v", names)
	}
}

// TestForms: the search above finds what is there.
func TestForms(t *testing.T) {
	secret := []byte("0123456789abcdefSECRET!?")
	for pad := range 7 {
		text := append(append(bytes.Repeat([]byte("<p>"), pad), secret...), "after"...)
		for _, coded := range []string{
			string(text), hex.EncodeToString(text), base64.StdEncoding.EncodeToString(text),
			base64.URLEncoding.EncodeToString(text), base32.StdEncoding.EncodeToString(text),
		} {
			found := false
			for _, f := range forms(secret) {
				found = found || strings.Contains(coded, string(f))
			}
			if !found {
				t.Errorf("not found in %q", coded)
			}
		}
	}
}
