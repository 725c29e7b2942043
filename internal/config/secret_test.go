package config

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

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

// TestSecretBounds: whatever a source gives, and however long it takes, reading it
// ends with a password or an *Error.
func TestSecretBounds(t *testing.T) {
	nobody, somebody, open := fifo(t), fifo(t), fifo(t)
	go func() { _ = os.WriteFile(somebody, []byte("through a pipe\n"), 0o600) }()
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { // writes a line and stays
		f, err := os.OpenFile(open, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = f.WriteString("the first line\n")
		<-stop
		_ = f.Close()
	})
	defer writer.Wait()
	defer close(stop)
	long := strings.Repeat("x", maxSecret+1)
	for _, tt := range []struct {
		name    string
		secrets Secrets
		account Account
		want    string // of the password, or of the error
		fails   bool
	}{
		{"a long variable", Secrets{Password: long}, Account{}, "JETSEND_PASSWORD: more than", true},
		{"a long password", Secrets{}, Account{Password: long}, "more than", true},
		{"an endless file", Secrets{PasswordFile: "/dev/zero"}, Account{}, "JETSEND_PASSWORD_FILE: more than", true},
		{"a FIFO", Secrets{PasswordFile: somebody}, Account{}, "through a pipe", false},
		{"a FIFO that stays open", Secrets{PasswordFile: open}, Account{}, "the first line", false},
		{"a FIFO that nobody writes to", Secrets{Limit: time.Millisecond}, Account{PasswordFile: nobody}, "password_file: nothing came within 1ms", true},
		{"an endless command", Secrets{}, Account{PasswordCommand: "yes"}, "more than", true},
		{"an endless line", Secrets{}, Account{PasswordCommand: "yes | tr -d '\\n'"}, "more than", true},
		{"a slow command", Secrets{Limit: time.Millisecond}, Account{PasswordCommand: "exec sleep 1000"}, "password_command: nothing came within 1ms", true},
		{"a process left behind", Secrets{}, Account{PasswordCommand: "sleep 10 & echo hunter2"}, "hunter2", false},
		{"a process left behind by a failure", Secrets{}, Account{PasswordCommand: "sleep 10 & echo hunter2; exit 3"}, "exit status 3", true},
		{"standard input is not the command's", Secrets{}, Account{PasswordCommand: "cat; echo nothing"}, "nothing", false},
		{"a locked keyring", Secrets{Limit: time.Millisecond, Keyring: lockedKeyring{stop}}, Account{Keyring: true}, "password of a@b.example: nothing came within 1ms", true},
		{"nobody types", Secrets{Limit: time.Millisecond, Prompt: func(ctx context.Context, _ jid.JID) (string, error) {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}}, Account{}, "nothing came within 1ms", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.secrets.Stderr = io.Discard
			got, err := tt.secrets.Lookup(t.Context(), &Chosen{Account: tt.account, Addr: jid.MustParse("a@b.example")})
			var e *Error
			switch {
			case tt.fails && (!errors.As(err, &e) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want an *Error with %q", err, tt.want)
			case tt.fails && strings.Contains(strings.ReplaceAll(err.Error(), tt.account.PasswordCommand, ""), "hunter2"):
				t.Errorf("the password is in %v", err)
			case !tt.fails && (err != nil || got != tt.want):
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// fifo makes a FIFO.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := mkfifo(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// lockedKeyring waits for its user.
type lockedKeyring struct{ unlocked <-chan struct{} }

func (k lockedKeyring) Get(string) (string, error) { <-k.unlocked; return "", ErrNotInKeyring }
func (k lockedKeyring) Set(string, string) error   { return nil }
func (k lockedKeyring) Delete(string) error        { return nil }

func TestLookupCancelled(t *testing.T) {
	cause := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for _, a := range []Account{{PasswordCommand: "sleep 60"}, {PasswordFile: fifo(t)}} {
		_, err := Secrets{Stderr: io.Discard}.Lookup(ctx, &Chosen{Account: a})
		if !errors.Is(err, cause) {
			t.Errorf("%+v: got %v, want the cause of the cancellation", a, err)
		}
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
	if _, err := ReadBounded(file, 100); err == nil {
		t.Error("101 bytes passed a limit of 100")
	}
	if got, err := ReadBounded(file, 101); err != nil || len(got) != 101 {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}
