package omemo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
	"jetsend/internal/xmltree"
)

// A chat copy is opened for the ratchet's sake, without asking the server when
// its device is known.
func TestMessage(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	chat := r.wrap(j, "wherefore art thou")
	if err := j.HandleMessage(t.Context(), j.pep, r.jid, chat); err != nil {
		t.Fatal(err)
	}
	if d, ok := j.known(r); !ok || d.At != r.jid {
		t.Errorf("introduced as %+v", d)
	}
	before := j.s.count("")
	j.mustOpen(r, r.wrap(j, "file"), "file")
	if err := j.HandleMessage(t.Context(), j.pep, r.jid, r.wrap(j, "x")); err != nil {
		t.Error(err)
	}
	if n := j.s.count("") - before; n != 0 {
		t.Errorf("%d questions", n)
	}
	if err := j.HandleMessage(t.Context(), j.pep, r.jid, chat); !errors.Is(err, ErrEnvelope) {
		t.Errorf("replayed: %v", err)
	}
	if err := j.HandleMessage(t.Context(), j.pep, r.jid, r.wrap(newParty(t, j.s, jid.MustParse("nurse@jet.test/house"), Config{}), "x")); !errors.Is(err, ErrNotForUs) {
		t.Errorf("not for us: %v", err)
	}
}

// The rules for who may send are those of offers.
func TestMessageOfOthers(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	j.s.put(romeo, NodeDevices, `<list xmlns='`+NS+`'/>`)
	j.unchanged("an unlisted device", func() {
		if err := j.HandleMessage(t.Context(), j.pep, r.jid, r.wrap(j, "x")); !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("got %v", err)
		}
	})
	r.announce()
	talk(j, r)
	if err := j.Distrust(t.Context(), romeo, r.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	j.unchanged("a distrusted device", func() {
		var trust *TrustError
		if err := j.HandleMessage(t.Context(), j.pep, r.jid, r.wrap(j, "x")); !errors.As(err, &trust) {
			t.Errorf("got %v", err)
		}
	})
}

// Work for one sender, and for all together, is bounded; strangers get less.
func TestMessagesAreLimited(t *testing.T) {
	unlessShort(t)
	j, r, c := clocked(t)
	talk(j, r)
	for range messagesPerSender {
		if err := j.HandleMessage(t.Context(), j.pep, r.jid, r.offer(j)); err != nil {
			t.Fatal(err)
		}
	}
	e := r.offer(j)
	if err := j.HandleMessage(t.Context(), j.pep, r.jid, e); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v", err)
	}
	c.add(messageWindow)
	if err := j.HandleMessage(t.Context(), j.pep, r.jid, e); err != nil {
		t.Errorf("a minute later: %v", err)
	}

	nurse := newParty(t, newServer(), jid.MustParse("nurse@jet.test/house"), Config{})
	b, _, err := j.checkedBundle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nurse.s.put(juliet, j.bundleNode(), b.element().String())
	nurse.s.put(juliet, NodeDevices, j.s.get(juliet, NodeDevices))
	asked := 0
	for range messagesPerSender {
		err := j.HandleMessage(t.Context(), j.pep, nurse.jid, nurse.wrap(j, "x"))
		if errors.Is(err, ErrUnknownDevice) {
			asked++
		} else if !errors.Is(err, ErrTooMany) {
			t.Fatal(err)
		}
	}
	if asked != messagesPerSender/introductionCost {
		t.Errorf("asked about a stranger %d times", asked)
	}
	c.add(messageWindow)
	none := xmltree.New(NS, "encrypted")
	for range messagesPerSender {
		if err := j.HandleMessage(t.Context(), j.pep, r.jid, none); !errors.Is(err, ErrEnvelope) {
			t.Fatal(err)
		}
	}
	if err := j.HandleMessage(t.Context(), j.pep, r.jid, none); !errors.Is(err, ErrTooMany) {
		t.Errorf("one more that is none: %v", err)
	}
	c.add(messageWindow)
	for i := range 2 * messagesPerWindow {
		_ = j.messages.take(c.Now(), jid.MustParse(fmt.Sprintf("n%d@jet.test", i)), 1)
	}
	if n := len(j.messages.senders); n != messagesPerWindow {
		t.Errorf("%d senders counted", n)
	}
}

// Messages of a stranger whose list is not to be had are refused.
func TestMessageWithoutList(t *testing.T) {
	j, r := pair(t)
	e := r.wrap(j, "x")
	j.s.before = failing("items romeo", stanza.NewError(stanza.Forbidden))
	if err := j.HandleMessage(t.Context(), j.pep, r.jid, e); !errors.Is(err, ErrUnknownDevice) {
		t.Errorf("got %v", err)
	}
}

// The list and the bundle of a device that is not known are fetched at once; a list that is
// not to be had, or has another device, ends it before the bundle is there.
func TestLookUpAtOnce(t *testing.T) {
	for name, list := range map[string]string{"listed": "", "unlisted": `<list xmlns='` + NS + `'/>`} {
		t.Run(name, func(t *testing.T) {
			j, r := pair(t)
			e := r.wrap(j, "x")
			if list != "" {
				j.s.put(romeo, NodeDevices, list)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			lists, bundles := make(chan struct{}), make(chan struct{})
			j.s.before = func(fetch context.Context, call string) error {
				mine, other, waits := bundles, lists, list == ""
				if strings.HasSuffix(call, NodeDevices) {
					mine, other, waits = lists, bundles, true
				}
				close(mine)
				if !waits { // for ever, unless it is given up
					<-fetch.Done()
					return fetch.Err()
				}
				select {
				case <-other:
				case <-fetch.Done():
				}
				return fetch.Err()
			}
			err := j.HandleMessage(ctx, j.pep, r.jid, e)
			if got := errors.Is(err, ErrUnknownDevice); ctx.Err() != nil || got != (list != "") {
				t.Error(err)
			}
			if _, known := j.known(r); known != (list == "") {
				t.Errorf("known: %t", known)
			}
		})
	}
}

// A state file of the first version comes over with its sessions, and what is
// read from beside their records is what would be written there.
func TestMigration(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	talk(j, r)
	j.wrap(newParty(t, j.s, jid.MustParse("nurse@jet.test/house"), Config{}), "x") // unanswered
	j.push(j)
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := state.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := state.Migrate(t.Context(), db, owner, schema[:1]); err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		`ATTACH '` + j.path + `' AS new`,
		`INSERT INTO identity SELECT * FROM new.identity`,
		`INSERT INTO publication SELECT id, next_prekey, generation, published, announced, listed, holder, held_until FROM new.publication`,
		`INSERT INTO prekeys SELECT id, private_key FROM new.prekeys`,
		`INSERT INTO signed_prekeys SELECT * FROM new.signed_prekeys`,
		`INSERT INTO lists SELECT * FROM new.lists`,
		`INSERT INTO devices SELECT * FROM new.devices`,
		`INSERT INTO sessions (jid, device, record, updated) SELECT jid, device, record, updated FROM new.sessions`,
		`DETACH new`,
	} {
		if _, err := conn.ExecContext(t.Context(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	old := reopen(t, j.s, juliet, Config{}, path)
	const beside = `SELECT group_concat(jid || device || base || pending || sent || received) FROM (SELECT * FROM sessions ORDER BY jid)`
	var want, got string
	if err := errors.Join(j.db.QueryRow(beside).Scan(&want), old.db.QueryRow(beside).Scan(&got)); err != nil || got != want || want == "" {
		t.Errorf("read %q, written %q (%v)", got, want, err)
	}
	r.mustOpen(old, old.wrap(r, "goes on"), "goes on")
	if len(old.due()) != 0 {
		t.Error("due for a step at once")
	}
}
