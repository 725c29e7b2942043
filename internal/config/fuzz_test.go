package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad: whatever a configuration file holds, loading it ends in a checked
// configuration or in an error of this package.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile(filepath.Join("..", "..", "config.example.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add("accounts: {home: {jid: juliet@capulet.example, password: s3cret-s3cret}}\ndefault_account: home\n")
	f.Add("contacts: {romeo: romeo@montague.example}\nsend: {wait: 1h, retries: 3}\nreceive: {max_size: 2GiB, from: [romeo]}\n")
	f.Add("a: &a [*a]\n")
	f.Add("accounts: {x: {jid: a@b, password: *s3cret-s3cret}}")
	f.Add("? {a: b}\n: !!binary x\n")
	file := filepath.Join(f.TempDir(), "config.yaml")
	f.Fuzz(func(t *testing.T, in string) {
		if err := os.WriteFile(file, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Options{File: file, MustExist: true, Home: "/home/juliet"})
		if err == nil {
			if err := c.validate(); err != nil {
				t.Fatalf("loaded, and yet %v", err)
			}
			return
		}
		var known *Error
		if !errors.As(err, &known) {
			t.Fatalf("%T: %v", err, err)
		}
	})
}
