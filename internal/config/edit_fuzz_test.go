package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// FuzzEdit: a file that can be used can be used after its change, too. Then it
// says of the account what was to be said, of everything else what it said
// before, and every comment is still there.
func FuzzEdit(f *testing.F) {
	example, err := os.ReadFile(filepath.Join("..", "..", "config.example.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example), "home", "p", false)
	f.Add("# mine\naccounts:\n  home: # the first\n    jid: a@b.example\n    password: old\n    socks5: 127.0.0.1:9050 # tor\n# people\ncontacts: {r: r@b.example}\n", "Home", "", true)
	f.Add("accounts: {home: {jid: a@b.example, keyring: true}, work: {jid: c@b.example}}\ndefault_account: work\ntrust: verified\n", "home", "'\"#: *x\n\t", false)
	f.Add("accounts: {home: &h {jid: a@b.example, server: 's:1'}, work: *h}\n", "home", "p", false)
	f.Add("accounts: {home: {jid: &j a@b.example}}\ncontacts: {me: *j}\n", "home", "p", false)
	f.Add("# notes\n\n# more\n", "a@b.example", "p", false)
	f.Add("# top\n\n# of accounts\naccounts:\n  # of home\n  home:\n    # of jid\n    jid: a@b.example # at jid\n    # below\n\n  # of work\n  work: {jid: c@b.example} # at work\n\n# of trust\ntrust: blind\n\n# end\n", "home", "p", false)
	f.Add("---\n# a\naccounts: # b\n  home: {jid: a@b.example, # c\n    server: 's:1'} # d\nreceive: # e\n  from:\n    # f\n    - r@b.example # g\n  # h\n...\n# i\n", "work", "", true)
	f.Add("accounts: # a\n# b\n", "work", "p", false)
	f.Add("accounts: {home: {jid: a@b.example}}\n---\n# second\ntrust: verified\n", "work", "p", false)
	f.Add("", "<<", "null", false)
	f.Add("default_account:", ":", "0", true)
	f.Add("accounts:\n  home:\n    jid:\n", "work", "p", false)
	f.Add("accounts:\ndefault_account:\n", "0", "0x1", false)
	file := filepath.Join(f.TempDir(), "config.yaml")
	load := func() (*Config, error) { return Load(Options{File: file, MustExist: true, Home: "/home/juliet"}) }
	f.Fuzz(func(t *testing.T, in, name, password string, keep bool) {
		if err := os.WriteFile(file, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := load()
		if err != nil {
			return
		}
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(in), &doc); err != nil {
			t.Fatal(err)
		}
		was, key := before.Accounts[strings.ToLower(name)], strings.ToLower(name)
		set := Account{JID: "new@b.example", Password: password}
		if err := SetAccount(file, name, set, keep); err != nil {
			if now, _ := os.ReadFile(file); string(now) != in {
				t.Errorf("%v, and yet the file was changed to %q", err, now)
			}
			return
		}
		now, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		after, err := load()
		if err != nil {
			t.Fatalf("%v\n%s", err, now)
		}
		want := was
		want.JID = set.JID
		if !keep {
			want.Password, want.PasswordFile, want.PasswordCommand, want.Keyring = password, "", "", false
		}
		if diff := cmp.Diff(want, after.Accounts[key]); diff != "" {
			t.Errorf("the account: %s\n%s", diff, now)
		}
		if before.DefaultAccount == "" && entries(&doc, "accounts") == 0 {
			before.DefaultAccount = name
		}
		delete(before.Accounts, key)
		delete(after.Accounts, key)
		if len(before.Accounts) == 0 {
			before.Accounts, after.Accounts = nil, nil
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the rest: %s\n%s", diff, now)
		}
		for _, c := range comments(&doc, key, keep) {
			if !strings.Contains(string(now), c) {
				t.Errorf("%q is gone from\n%s", c, now)
			}
		}
	})
}

// entries is how many a section of a file has, empty ones, which are not loaded, among them.
func entries(doc *yaml.Node, section string) int {
	root := rootOf(doc)
	if root == nil {
		return 0
	}
	v := lookup(root, section)
	if v == nil {
		return 0
	}
	return len(v.Content)
}

// comments are those of a tree, line by line, but for where the password of an
// account is, which may be taken out.
func comments(n *yaml.Node, key string, keep bool) (lines []string) {
	if n == nil {
		return nil
	}
	for _, c := range []string{n.HeadComment, n.LineComment, n.FootComment} {
		for line := range strings.Lines(c) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && !keep && i%2 == 0 && (strings.HasPrefix(child.Value, "password") || child.Value == "keyring") {
			continue
		}
		lines = append(lines, comments(child, key, keep)...)
	}
	return lines
}
