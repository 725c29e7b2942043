package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSetAccountMakesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "jetsend", "config.yaml")
	want := Account{JID: "juliet@capulet.example", Password: "p: #\"'\n", Server: "127.0.0.1:5222", TLSCAFile: "/ca.pem"}
	if err := SetAccount(file, want.JID, want, false); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if text := read(t, file); !strings.HasPrefix(text, "# jetsend configuration") {
		t.Errorf("no header:\n%s", text)
	}
	c, err := Load(Options{File: file, MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, c.Accounts[want.JID]); diff != "" || c.DefaultAccount != want.JID {
		t.Error(diff, c.DefaultAccount)
	}
}

func TestSetAccountKeepsTheRest(t *testing.T) {
	file := writeConfig(t, `# mine
accounts:
  home: # the first
    jid: juliet@capulet.example
    password: old
    socks5: 127.0.0.1:9050 # tor
# people
contacts:
  romeo: romeo@montague.example
`)
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := SetAccount(link, "home", Account{JID: "juliet@capulet.example", Keyring: true}, false); err != nil {
		t.Fatal(err)
	}
	if err := SetAccount(link, "work", Account{JID: "juliet@work.example"}, true); err != nil {
		t.Fatal(err)
	}
	const want = `# mine
accounts:
  home: # the first
    jid: juliet@capulet.example
    socks5: 127.0.0.1:9050 # tor
    keyring: true
  work:
    jid: juliet@work.example
# people
contacts:
  romeo: romeo@montague.example
`
	if diff := cmp.Diff(want, read(t, file)); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the symbolic link was replaced:", info, err)
	}
}

func TestRemoveAccount(t *testing.T) {
	file := writeConfig(t, "# mine\naccounts:\n  home: {jid: a@b.example, password: secret}\n  work: {jid: c@d.example}\ndefault_account: Home\ntrust: verified\n")
	for range 2 { // the second time there is nothing left to do
		if err := RemoveAccount(file, "home"); err != nil {
			t.Fatal(err)
		}
		const want = "# mine\naccounts:\n  work: {jid: c@d.example}\ntrust: verified\n"
		if diff := cmp.Diff(want, read(t, file)); diff != "" {
			t.Error(diff)
		}
	}
	other := writeConfig(t, "accounts:\n  home: {jid: a@b.example}\n  work: {jid: c@d.example}\ndefault_account: work\n")
	if err := RemoveAccount(other, "home"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("accounts:\n  work: {jid: c@d.example}\ndefault_account: work\n", read(t, other)); diff != "" {
		t.Error(diff)
	}
	missing := filepath.Join(t.TempDir(), "none.yaml")
	if err := RemoveAccount(missing, "home"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("removing made a file")
	}
}

func TestSetAccountInCommentsOnly(t *testing.T) {
	file := writeConfig(t, "# notes\n# more notes\n")
	if err := SetAccount(file, "a", Account{JID: "a@b.example"}, false); err != nil {
		t.Fatal(err)
	}
	const want = "# notes\n# more notes\ndefault_account: a\naccounts:\n  a:\n    jid: a@b.example\n"
	if diff := cmp.Diff(want, read(t, file)); diff != "" {
		t.Error(diff)
	}
}

// TestSetAccountRefuses: what would not come out right leaves the file as it was.
func TestSetAccountRefuses(t *testing.T) {
	const plain = "# mine\n\ntrust: blind\n"
	for what, tt := range map[string]struct{ file, name, password, text string }{
		"an account that stands for another": {"accounts: {home: &h {jid: a@b.example}, work: *h}\n", "home", "p", "alias"},
		"an address that others stand for":   {"accounts: {home: {jid: &j a@b.example}}\ncontacts: {me: *j}\n", "home", "p", "alias"},
		"two documents":                      {"trust: blind\n---\ntrust: verified\n", "home", "p", "second document"},
		"bytes that are no text":             {plain, "home", "\xec", "UTF-8"},
		"a name that is no name":             {plain, "a::b", "p", "cannot hold"},
		"a name that means something":        {plain, "<<", "p", "plain `key: value`"},
	} {
		file := writeConfig(t, tt.file)
		err := SetAccount(file, tt.name, Account{JID: "a@b.example", Password: tt.password}, false)
		var known *Error
		if !errors.As(err, &known) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(tt.file, read(t, file)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// TestSetAccountKeepsTheEnds: comments apart from all keys stay as well.
func TestSetAccountKeepsTheEnds(t *testing.T) {
	file := writeConfig(t, "# top\n\n# of trust\ntrust: blind\n\n# end\n")
	if err := SetAccount(file, "a", Account{JID: "a@b.example"}, false); err != nil {
		t.Fatal(err)
	}
	const want = "# top\n\n# of trust\ntrust: blind\ndefault_account: a\naccounts:\n  a:\n    jid: a@b.example\n\n# end\n"
	if diff := cmp.Diff(want, read(t, file)); diff != "" {
		t.Error(diff)
	}
}
