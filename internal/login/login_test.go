package login

import (
	"crypto/sha256"
	"database/sql"
	"path/filepath"
	"reflect"
	"regexp"
	"sync"
	"testing"
	"time"

	"jetsend/internal/session"
	"jetsend/internal/state"
)

func open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func prepare(t *testing.T, db *sql.DB, receiver bool) (cfg session.Config, own string) {
	t.Helper()
	own, err := Prepare(t.Context(), db, receiver, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, own
}

// TestRemember: the mechanism of the latest login, and for some days what the server does
// not put up with.
func TestRemember(t *testing.T) {
	db := open(t)
	cfg, _ := prepare(t, db, true)
	for _, want := range []struct {
		mechanism string
		careful   bool
	}{{"", false}, {"SCRAM-SHA-1", false}, {"SCRAM-SHA-256", true}, {"SCRAM-SHA-256", false}} {
		if want.mechanism != "" {
			if err := Remember(t.Context(), db, want.mechanism, want.careful, &cfg); err != nil {
				t.Fatal(err)
			}
		}
		if cfg, _ = prepare(t, db, true); cfg.BestMechanism != want.mechanism || cfg.Careful != want.careful {
			t.Errorf("%q %v, want %+v", cfg.BestMechanism, cfg.Careful, want)
		}
	}
	past := time.Now().Add(-time.Second).Unix()
	if err := state.Exec(t.Context(), db, `UPDATE login SET careful = ?`, past); err != nil {
		t.Fatal(err)
	}
	if cfg, _ := prepare(t, db, true); cfg.Careful {
		t.Error("careful for ever")
	}
}

// TestResource: the receiver's is one for each state, another agent's is drawn each time.
func TestResource(t *testing.T) {
	db := open(t)
	first, own := prepare(t, db, true)
	again, _ := prepare(t, db, true)
	other, same := prepare(t, db, false)
	if first.Resource != own || again.Resource != own || same != own || other.Resource == own {
		t.Errorf("%q, %q, %q, %q", own, first.Resource, again.Resource, other.Resource)
	}
}

// TestKeysOfBefore: what an older version remembers of keys is there, and says nothing of sets.
func TestKeysOfBefore(t *testing.T) {
	db := open(t)
	if err := state.Migrate(t.Context(), db, "login", schema[:3]); err != nil {
		t.Fatal(err)
	}
	if err := state.Exec(t.Context(), db, `INSERT INTO jetsends (jid, identity_key) VALUES ('juliet@jet.test', x'07')`); err != nil {
		t.Fatal(err)
	}
	prepare(t, db, true)
	var keys, sets int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*), sum(sets) FROM jetsends`).Scan(&keys, &sets); err != nil || keys != 1 || sets != 0 {
		t.Errorf("%d keys, %d with sets, %v", keys, sets, err)
	}
}

// TestUserAgent: a UUID of version 4, one for each role and each state.
func TestUserAgent(t *testing.T) {
	db := open(t)
	seen := map[string]int{}
	for _, db := range []*sql.DB{db, open(t)} {
		for _, receiver := range []bool{true, false, true, false} {
			cfg, _ := prepare(t, db, receiver)
			seen[cfg.UserAgent]++
			if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(cfg.UserAgent) {
				t.Errorf("%q", cfg.UserAgent)
			}
		}
	}
	if len(seen) != 4 {
		t.Error(seen)
	}
}

// TestTokens: what is kept for a role is had once, by one of those who want it at a time, and
// is not in the file any more.
func TestTokens(t *testing.T) {
	db := open(t)
	cfg, _ := prepare(t, db, true)
	other, _ := prepare(t, db, false)
	want := &session.Token{
		Secret: "s3cret", Mechanism: "HT-SHA-256-NONE", Expires: time.Unix(1<<33, 0), Login: "SCRAM-SHA-1",
		Server: sha256.Sum256([]byte("key")), TLS: 0x304,
	}
	if got, err := cfg.Tokens.Take(t.Context()); got != nil || err != nil {
		t.Error(got, err)
	}
	for range 2 {
		if err := cfg.Tokens.Keep(t.Context(), &session.Token{Secret: "older"}); err != nil {
			t.Fatal(err)
		}
		if err := cfg.Tokens.Keep(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := other.Tokens.Take(t.Context()); got != nil || err != nil {
			t.Error("another role's", got, err)
		}
		var (
			wg  sync.WaitGroup
			mu  sync.Mutex
			got []*session.Token
		)
		for range 4 {
			wg.Go(func() {
				k, err := cfg.Tokens.Take(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if k != nil {
					got = append(got, k)
				}
			})
		}
		wg.Wait()
		if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%+v", got)
		}
		var left int
		if err := db.QueryRowContext(t.Context(), `SELECT count(secret) FROM agent`).Scan(&left); err != nil || left != 0 {
			t.Error(left, err)
		}
	}
}

// TestAgents: each role once, each as what it logs in as.
func TestAgents(t *testing.T) {
	db := open(t)
	want := map[string]bool{}
	for _, receiver := range []bool{true, false} {
		cfg, _ := prepare(t, db, receiver)
		want[cfg.UserAgent] = true
	}
	got := map[string]bool{}
	err := Agents(t.Context(), db, session.Config{}, func(cfg session.Config) error {
		got[cfg.UserAgent] = cfg.Tokens != nil
		return nil
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v: %v", got, want, err)
	}
}
