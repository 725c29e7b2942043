package config

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"jetsend/internal/jid"
)

// fakeKeyring keeps passwords in a map.
type fakeKeyring map[string]string

func (k fakeKeyring) Get(account string) (string, error) {
	if p, ok := k[account]; ok {
		return p, nil
	}
	return "", ErrNotInKeyring
}
func (k fakeKeyring) Set(account, password string) error { k[account] = password; return nil }
func (k fakeKeyring) Delete(account string) error        { delete(k, account); return nil }

func TestLookup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from file\r\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\nnot this"), 0o600); err != nil {
		t.Fatal(err)
	}
	prompt := func(context.Context, jid.JID) (string, error) { return "typed", nil }
	for _, tt := range []struct {
		name    string
		secrets Secrets
		account Account
		want    string // empty: an *Error
	}{
		{"environment first", Secrets{Password: "env", PasswordFile: file, Prompt: prompt}, Account{Password: "stored"}, "env"},
		{"then its file", Secrets{PasswordFile: file, Prompt: prompt}, Account{Password: "stored"}, "from file"},
		{"then the account", Secrets{Prompt: prompt}, Account{Password: "stored"}, "stored"},
		{"file of the account", Secrets{}, Account{PasswordFile: file}, "from file"},
		{"command", Secrets{}, Account{PasswordCommand: "printf 'from %s\\nurl: x\\n' command"}, "from command"},
		{"keyring", Secrets{Keyring: fakeKeyring{"a@b.example": "kept"}}, Account{Keyring: true}, "kept"},
		{"prompt last", Secrets{Prompt: prompt}, Account{}, "typed"},
		{"nothing", Secrets{}, Account{}, ""},
		{"missing file", Secrets{}, Account{PasswordFile: file + "x"}, ""},
		{"a failing source does not fall through", Secrets{Prompt: prompt}, Account{PasswordFile: empty}, ""},
		{"failing command", Secrets{Prompt: prompt}, Account{PasswordCommand: "echo leaked; exit 3"}, ""},
		{"silent command", Secrets{}, Account{PasswordCommand: "true"}, ""},
		{"empty keyring", Secrets{Keyring: fakeKeyring{}}, Account{Keyring: true}, ""},
		{"no keyring", Secrets{}, Account{Keyring: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.secrets.Stderr = io.Discard
			got, err := tt.secrets.Lookup(t.Context(), &Chosen{Account: tt.account, Addr: jid.MustParse("a@b.example")})
			var e *Error
			if tt.want == "" {
				if !errors.As(err, &e) || strings.Contains(e.Error(), "leaked") && !strings.Contains(tt.account.PasswordCommand, "leaked") {
					t.Errorf("got %q, %v; want an *Error", got, err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// TestOutside: the place that is named is the one that Lookup takes.
func TestOutside(t *testing.T) {
	for _, tt := range []struct {
		secrets Secrets
		account Account
		want    string
	}{
		{Secrets{Password: "p", PasswordFile: "f"}, Account{PasswordFile: "f"}, "JETSEND_PASSWORD"},
		{Secrets{PasswordFile: "f"}, Account{Password: "p"}, "JETSEND_PASSWORD_FILE"},
		{Secrets{}, Account{Password: "p"}, ""},
		{Secrets{}, Account{PasswordFile: "f"}, "password_file"},
		{Secrets{}, Account{PasswordCommand: "c"}, "password_command"},
		{Secrets{}, Account{Keyring: true}, ""},
	} {
		if got := tt.secrets.Outside(&Chosen{Account: tt.account}); got != tt.want {
			t.Errorf("%+v, %+v: %q, want %q", tt.secrets, tt.account, got, tt.want)
		}
	}
}

func TestLookupCancelled(t *testing.T) {
	cause := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := Secrets{Stderr: io.Discard}.Lookup(ctx, &Chosen{Account: Account{PasswordCommand: "sleep 60"}})
	if !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause of the cancellation", err)
	}
}

func TestReadBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large")
	data, err := io.ReadAll(iotest.DataErrReader(strings.NewReader(strings.Repeat("x", 101))))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readBounded(file, 100); err == nil {
		t.Error("101 bytes passed a limit of 100")
	}
	if got, err := readBounded(file, 101); err != nil || len(got) != 101 {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}
