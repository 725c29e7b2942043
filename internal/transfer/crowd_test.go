package transfer

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/charge"
	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/source"
)

// TestInterruptedAreBounded: a contact has offers accepted and goes away, again and
// again. The transfers kept of that are bounded, on the disk too, the receiver stays
// alive, and what another contact has under way stays.
func TestInterruptedAreBounded(t *testing.T) {
	s := prosody(t)
	dir := t.TempDir()
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	ctx := t.Context()
	park := func(of string, durable int) string {
		row := journal.Row{
			Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse(of), Profile: true,
			Name: "f", Dir: dir, Size: 10, Source: journal.SourceFile, Keys: [][]byte{make([]byte, 33)},
		}
		h, err := juliet.journal.Begin(ctx, row)
		if err == nil && durable > 0 {
			part := filepath.Join(dir, ".jetsend-"+row.ID+".part")
			if err = os.WriteFile(part, make([]byte, durable), 0o600); err == nil {
				err = h.Run(ctx)
			}
			if err == nil {
				err = h.Progress(ctx, int64(durable))
			}
		}
		if err == nil {
			err = h.Release()
		}
		if err != nil {
			t.Fatal(err)
		}
		return row.ID
	}
	honest := park("romeo@jet.test", 5) // whoever floods, this was there before
	for range 3 {
		park("nurse@jet.test", 5)
	}
	flood := park("nurse@jet.test", 0)
	const many = 4000
	_, err := juliet.db.ExecContext(ctx, `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
		INSERT INTO transfers (id, direction, batch, peer, resource, profile, name, dir, path, size, mtime_s, mtime_ns, sha256, state, durable, released, retries, created, updated, finished, error, moved)
		SELECT printf('%08x', i) || substr(t.id, 9), 'receive', '', t.peer, t.resource, 1, t.name, t.dir, '', t.size, t.mtime_s, t.mtime_ns, NULL, 'interrupted', 0, 0, 0, t.created + i, t.updated + i, NULL, '', t.moved + i
		FROM n, (SELECT * FROM transfers WHERE id = ?2) t`, many, flood)
	if err != nil {
		t.Fatal(err)
	}
	rows := func(where string) (n int) {
		if err := juliet.db.QueryRowContext(ctx, `SELECT count(*) FROM transfers WHERE state = 'interrupted' AND `+where).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts, AutoResume: time.Hour, KeepFor: 24 * time.Hour})
	alive, done := context.WithTimeout(ctx, 2*time.Minute)
	defer done()
	if err := juliet.Alive(alive); err != nil {
		t.Errorf("alive: %v", err)
	}
	if n := rows(`peer = 'nurse@jet.test'`); n != charge.MaxInterruptedContact {
		t.Errorf("%d rows are kept", n)
	}
	if rows(`durable > 0 AND peer = 'nurse@jet.test'`) != 3 || rows(`id = '`+honest+`'`) != 1 {
		t.Error("bytes were thrown away where there was something else to drop")
	}
	// The next one drives out the oldest; that which has bytes keeps its partial file.
	for range 2 {
		cut, cancel := context.WithCancel(ctx)
		romeo := online(t, s, s.Addr, "romeo", true, func(e event.Event) {
			if _, ok := e.(event.Accepted); ok {
				cancel()
			}
		})
		if err := romeo.sess.Appear(ctx); err != nil {
			t.Fatal(err)
		}
		_ = romeo.Send(cut, SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "text")}}, Wait: time.Minute})
		cancel()
	}
	eventually(t, func() bool { return rows(`peer = 'romeo@jet.test'`) == 3 })
	if parts, err := filepath.Glob(filepath.Join(dir, ".jetsend-*.part")); err != nil || len(parts) != 4 {
		t.Errorf("partial files: %q (%v)", parts, err)
	}
}
