package omemo

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
	"jetsend/internal/xmltree"
)

// ratchetPosition is what must never be used twice: the chain and the number of
// the message in it.
func ratchetPosition(t *testing.T, e *xmltree.Element) string {
	t.Helper()
	k := e.Child(NS, "header").Child(NS, "key")
	data, err := decodeBase64(k.Text, maxKeyBytes)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseMessage(data, k.Attr("prekey") == "true")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x %d", m.signal.SenderRatchetKey().Serialize(), m.signal.Counter())
}

// Several Accounts on several connections to one file, and several goroutines
// in each: no message key is used twice, and every message opens, also on two
// Accounts that share the receiver's file.
func TestConcurrentSteps(t *testing.T) {
	j, r := pair(t)
	talk(j, r)
	const perWorker = 8
	senders := []*party{j, reopen(t, j.s, juliet, Config{}, j.path)}
	out := make(chan *xmltree.Element, 2*len(senders)*perWorker)
	var wg sync.WaitGroup
	for i := range 2 * len(senders) {
		s := senders[i/2]
		wg.Go(func() {
			for range perWorker {
				e, err := s.WrapPayload(context.Background(), s.pep, romeo, []byte("x"), Kept)
				if err != nil {
					t.Error(err)
					return
				}
				out <- e.Element
			}
		})
	}
	wg.Wait()
	close(out)
	checkStream(t, j, r, out)
}

// checkStream opens envelopes on two Accounts at once and checks that none uses
// the message key of another.
func checkStream(t *testing.T, j, r *party, in <-chan *xmltree.Element) {
	t.Helper()
	receivers := []*party{r, reopen(t, r.s, romeo, Config{}, r.path)}
	seen := make(map[string]bool)
	var wg sync.WaitGroup
	for i, e := range slicesOf(in) {
		at := ratchetPosition(t, e)
		if seen[at] {
			t.Errorf("message key %s was used twice", at)
		}
		seen[at] = true
		p := receivers[i%2]
		wg.Go(func() {
			if o, err := p.Unwrap(context.Background(), p.pep, j.jid, e); err != nil || string(o.Payload) != "x" {
				t.Errorf("message %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	talk(j, r)
}

func slicesOf(in <-chan *xmltree.Element) (out []*xmltree.Element) {
	for e := range in {
		out = append(out, e)
	}
	return out
}

// The one-time prekey of two first messages of different senders is taken once.
func TestConcurrentPrekey(t *testing.T) {
	s := newServer()
	j, r := newParty(t, s, juliet, Config{}), newParty(t, s, romeo, Config{})
	j2 := newParty(t, s, juliet, Config{})
	b := parsed(t, r)
	b.prekeys = b.prekeys[:1]
	s.put(romeo, r.bundleNode(), b.element().String())
	first, second := j.wrap(r, "x"), j2.wrap(r, "x")
	errs := make(chan error, 2)
	var wg sync.WaitGroup
	for _, e := range []*xmltree.Element{first, second} {
		p := reopen(t, s, romeo, Config{}, r.path)
		wg.Go(func() {
			_, err := p.Unwrap(context.Background(), p.pep, juliet, e)
			errs <- err
		})
	}
	wg.Wait()
	if a, b := <-errs, <-errs; (a == nil) == (b == nil) {
		t.Errorf("the prekey was used by both or by none: %v, %v", a, b)
	}
	if n := r.one(`SELECT count(*) FROM prekeys`); n != prekeyTarget {
		t.Errorf("%d prekeys", n)
	}
}

// One first use from many sides makes one device.
func TestConcurrentFirstUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	ids := make(chan string, 6)
	var wg sync.WaitGroup
	for range cap(ids) {
		wg.Go(func() {
			db, err := state.Open(context.Background(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = db.Close() }()
			a, err := Open(context.Background(), db, juliet, Config{})
			if err != nil {
				t.Error(err)
				return
			}
			ids <- fmt.Sprint(a.DeviceID(), a.Fingerprint())
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Error("there are two identities")
		}
	}
}

const (
	helperVariable = "JETSEND_TEST_OMEMO_STATE" // path of the state file: makes the test binary a sender
	helperMessages = 10
)

// offline is a PEP without a server.
type offline struct{ account }

func (offline) Items(context.Context, jid.JID, string) ([]*xmltree.Element, error) {
	return nil, stanza.NewError(stanza.ServiceUnavailable)
}

// TestSenderProcess is no test by itself: it is what the other processes of
// TestProcesses run.
func TestSenderProcess(t *testing.T) {
	path := os.Getenv(helperVariable)
	if path == "" {
		t.Skip("only run by TestProcesses")
	}
	p := reopen(t, newServer(), juliet, Config{}, path)
	w := bufio.NewWriter(os.Stdout)
	for range helperMessages {
		e, err := p.WrapPayload(t.Context(), offline{}, romeo, []byte("x"), Kept)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "\n%s\n", e.Element)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// The same from several processes.
func TestProcesses(t *testing.T) {
	j, r := pair(t)
	talk(j, r)
	out := make(chan *xmltree.Element, 3*helperMessages)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSenderProcess$")
			cmd.Env = append(os.Environ(), helperVariable+"="+j.path)
			b, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, b)
			}
			for line := range bytes.Lines(b) {
				if e, err := xmltree.Parse(line); err == nil {
					out <- e
				}
			}
		})
	}
	wg.Go(func() {
		for range helperMessages {
			e, err := j.WrapPayload(context.Background(), j.pep, romeo, []byte("x"), Kept)
			if err != nil {
				t.Error(err)
				return
			}
			out <- e.Element
		}
	})
	wg.Wait()
	close(out)
	if len(out) != 3*helperMessages {
		t.Errorf("%d messages", len(out))
	}
	checkStream(t, j, r, out)
}
