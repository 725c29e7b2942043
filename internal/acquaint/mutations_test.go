package acquaint

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mutations take out one check of the exchange each, or one thing that is authenticated.
// JETSEND_TEST_MUTATIONS=1 (`make mutations`) has the tests run with each of them: caught
// are the ones that fail then, at least.
var mutations = []struct{ name, file, old, with, caught string }{
	{"a redemption without a proof", "../invite/message.go", "if !equal(l.proof(k, r), r.MAC) {", "if false {", "TestUnchanged/another_mac"},
	{"a confirm without a proof", "../invite/message.go", "|| !equal(r.proof(k, c), c.MAC) {", "{", "TestUnchanged/the_answer_in_juliet's_name"},
	{"one key both ways", "../invite/doc.go", `infoConfirm = "jetsend confirm 1"`, `infoConfirm = infoRedeem`, "TestVectors"},
	{"keys without the id", "../invite/doc.go", "hkdf.Key(sha256.New, secret[:], id[:], info, len(key))", "hkdf.Key(sha256.New, secret[:], nil, info, len(key))", "TestVectors"},
	{"without the issuer's address", "../invite/message.go", "	t.address(l.Issuer.Bare())\n", "", "TestCovered/issuer"},
	{"without the redeemer's address", "../invite/message.go", "	t.address(r.From.Bare())\n	t.address(r.From)\n", "", "TestHostile/mallory_says_it_as_her_own"},
	{"without the redeemer's client", "../invite/message.go", "	t.address(r.From)\n", "", "TestUnchanged/another_client's"},
	{"without the redeemer's keys", "../invite/message.go", "	t.names(r.Devices)\n", "", "TestHostile/a_key_of_the_server"},
	{"without the issuer's keys", "../invite/message.go", "	t.names(l.Names)\n", "", "TestAltered/a_key"},
	{"without a nonce", "../invite/message.go", "	t.add(r.Nonce[:])\n", "", "TestUnchanged/another_nonce"},
	{"names without ids", "../invite/doc.go", "		t.number(d.ID)\n", "", "TestUnchanged/another_device_id"},
	{"names without lengths", "../invite/doc.go", "	t.number(uint32(len(n)))\n", "", "TestVectors"},
	{"a confirm of any redemption", "../invite/message.go", "	t.add(r.MAC[:])\n", "", "TestStale"},
	{"a confirm without its nonce", "../invite/message.go", "	t.add(c.Nonce[:])\n", "", "TestUnchanged/a_confirm_with_another_nonce"},
	{"a confirm without its verdict", "../invite/message.go", "	t.text(string(c.Verdict))\n", "", "TestUnchanged/another_verdict"},
	{"said by anybody", "../invite/message.go", "|| r.From.Bare() != from.Bare() ", "", "TestUnchanged/mallory_says_what_romeo_said"},
	{"said by another client", "../invite/message.go", "|| !from.IsBare() && from != r.From {", "{", "TestParseRedeem"},
	{"a token of any invitation", "book.go", "if !i.AnyClient {", "if i.AnyClient && false {", "TestToken"},
	{"used without end", "book.go", "case i.Used >= i.Uses:", "case false:", "TestUses"},
	{"good without end", "book.go", "case !now.Before(i.Expires):", "case false:", "TestVerdicts/expired"},
	{"good when revoked", "book.go", "case i.Revoked:", "case false:", "TestVerdicts/revoked"},
	{"for any address", "book.go", "case !i.Bound.IsZero() && i.Bound != who:", "case false:", "TestVerdicts/other"},
	{"more keys of a known contact", "book.go", "case i.Bound.IsZero() && proven:", "case false:", "TestKnown"},
	{"back after a removal", "book.go", "	case was.closed:\n", "	case false:\n", "TestRemovedForGood"},
	{"several by one token", "book.go", "if others > 0 {", "if false {", "TestToken"},
	{"a key of the own account", "host.go", "if who == self {", "if false {", "TestOwnAddress"},
	{"verified again and again", "book.go", "if err == nil && out.Fresh {", "if err == nil {", "TestReplayed"},
	{"accepted again and again", "book.go", "Accept: !was.accepted && !was.closed}, nil", "Accept: true}, nil", "TestRemoved"},
	{"settled again and again", "book.go", "if errors.Is(err, ErrUnknown) {\n			return nil\n		}\n		if err == nil {\n			settled", "if errors.Is(err, ErrUnknown) {\n			err = nil\n		}\n		if err == nil {\n			settled", "TestSettleOnce"},
	{"a no verifies", "guest.go", "		if !yes {\n			return nil\n		}\n", "", "TestVerdicts/other"},
	{"a no lets in", "guest.go", "	if !yes {\n		return &VerdictError{t.Issuer, c.confirm.Verdict}\n	}\n", "	if !yes {\n		return errors.Join(p.Account.Approve(ctx, t.Issuer), &VerdictError{t.Issuer, c.confirm.Verdict})\n	}\n", "TestVerdicts/other"},
	{"strangers without a limit", "party.go", "|| !p.all.Allow() {", "{", "TestFlood"},
}

// source is where a mutation finds what it takes out, in the file as it is.
func source(t *testing.T, file, old string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), old); n != 1 {
		t.Errorf("%s: %q is there %d times", file, old, n)
	}
	return string(b)
}

// TestMutationsApply keeps them fitting, and the words of docs/security.md.
func TestMutationsApply(t *testing.T) {
	doc, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		source(t, m.file, m.old)
		if !strings.Contains(string(doc), m.name) {
			t.Errorf("docs/security.md does not name the check %q", m.name)
		}
	}
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// TestMutations runs the tests with each check taken out.
func TestMutations(t *testing.T) {
	if os.Getenv("JETSEND_TEST_MUTATIONS") == "" {
		t.Skip("it takes minutes: `make mutations`")
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			dir := t.TempDir()
			changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
			file, err := filepath.Abs(m.file)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(source(t, m.file, m.old), m.old, m.with, 1)
			replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
			if err != nil {
				t.Fatal(err)
			}
			for name, b := range map[string][]byte{changed: []byte(text), overlay: replace} {
				if err := os.WriteFile(name, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout=1m", "-overlay", overlay, ".", "../invite")
			cmd.Env = append(os.Environ(), "JETSEND_TEST_MUTATIONS=")
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("nothing fails without it")
			}
			var by []string
			for _, f := range failed.FindAllStringSubmatch(string(out), -1) {
				by = append(by, f[1])
			}
			if !strings.Contains(strings.Join(by, "\n")+"\n", m.caught+"\n") {
				t.Errorf("not by %s, but by %q\n%s", m.caught, by, out)
			}
		})
	}
}
