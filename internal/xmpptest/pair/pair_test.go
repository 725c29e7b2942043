package pair

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a shell script in the place of jetsend: the receiver is online until
// the file appears, the sender puts it there.
const fake = `#!/bin/sh
case "$1" in
receive)
	[ "$*" = "receive --once --dir $4 --from romeo@jet.test --json" ] || exit 2
	echo '{"event":"offer","name":"early"}'
	echo '{"event":"online","jid":"juliet@jet.test/x"}'
	echo waiting >&2
	trap 'exit 143' TERM
	while [ ! -e "$4/file" ]; do read x </dev/null; done
	printf '{"event":"received","path":"%s/fi' "$4"
	echo 'le","size":5}'
	;;
send)
	[ "$JETSEND_JID $JETSEND_PASSWORD" = "romeo@jet.test romeo-pw" ] || exit 4
	[ -r "$JETSEND_TLS_CA_FILE" ] && [ "${JETSEND_STATE_DIR%/state}" = "$HOME" ] || exit 3
	echo 'not an event'
	[ -z "$SECRET" ] || exit 1
	[ "$5 $6" = " " ] || printf '{"event":"failed","reason":"%s %s"}\n' "$5" "$6"
	cp "$3" "$(cat "$3")/file" || exit 12
	;;
esac
`

func open(t *testing.T) (p *Pair, file, inbox string) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "jetsend")
	if err := os.WriteFile(program, []byte(fake), 0o700); err != nil {
		t.Fatal(err)
	}
	inbox, file = filepath.Join(dir, "in"), filepath.Join(dir, "file")
	if err := os.Mkdir(inbox, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(inbox), 0o600); err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET", "of the caller")
	p, err := Open(t.Context(), work, program, os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Server.Kill() })
	return p, file, inbox
}

func TestTransfer(t *testing.T) {
	p, file, inbox := open(t)
	r, err := p.Transfer(t.Context(), file, inbox)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sender.Err != nil || r.Receiver.Err != nil {
		t.Fatalf("%v, %v", r.Sender, r.Receiver)
	}
	if got := r.Receiver.Find("received"); got == nil || got.Path != inbox+"/file" || got.Size != 5 {
		t.Errorf("received: %+v", got)
	}
	if got := r.Sender.Find("garbage"); got == nil || got.Reason != "not an event" {
		t.Errorf("garbage: %+v", got)
	}
	if r.Receiver.Stderr != "waiting\n" || r.Receiver.Took <= 0 || r.Receiver.MaxRSS < 100<<10 {
		t.Errorf("receiver: %+v", r.Receiver)
	}
}

func TestTransferWithFlags(t *testing.T) {
	p, file, inbox := open(t)
	r, err := p.Transfer(t.Context(), file, inbox, "--transport", "ibb")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Sender.Find("failed"); got == nil || got.Reason != "--transport ibb" {
		t.Errorf("sender: %+v", r.Sender)
	}
}

func TestTransferThatFails(t *testing.T) {
	p, _, inbox := open(t)
	r, err := p.Transfer(t.Context(), filepath.Join(inbox, "nothing"), inbox)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sender.Err == nil || !strings.Contains(r.Receiver.Err.Error(), "143") {
		t.Errorf("sender %v, receiver %v", r.Sender.Err, r.Receiver.Err)
	}
}

func TestTransferEnds(t *testing.T) {
	p, file, inbox := open(t)
	p.Sender = "nobody@jet.test" // the receiver takes that for bad usage
	if _, err := p.Transfer(t.Context(), file, inbox); !errors.Is(err, errEnded) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	p.Sender = "romeo@jet.test"
	if err := os.WriteFile(file, []byte("/dev/null"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := strings.Replace(fake, "send)", "send) exec sleep 1000", 1)
	if err := os.WriteFile(p.program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Transfer(ctx, file, inbox); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.Context(), t.TempDir(), filepath.Join(inbox, "none"), ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
