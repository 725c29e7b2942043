package contact

import (
	"bytes"
	"database/sql"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jetsend/internal/dialect"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/session"
	"jetsend/internal/state"
)

// openKeys is a state that remembers keys, until the test ends.
func openKeys(t *testing.T) *sql.DB {
	t.Helper()
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := state.Migrate(t.Context(), db, "keys", []string{Schema, SchemaSets}); err != nil {
		t.Fatal(err)
	}
	return db
}

// TestKnownSets: what a key has used is known of it from then on, and of no other one.
func TestKnownSets(t *testing.T) {
	db := openKeys(t)
	var log bytes.Buffer
	f := &Finder{DB: db, Log: slog.New(slog.NewTextHandler(&log, nil))}
	bare := jid.MustParse("juliet@jet.test")
	device := func(key byte) omemo.Device {
		return omemo.Device{JID: jid.MustParse("juliet@jet.test/x"), ID: 1, IdentityKey: []byte{key}}
	}
	check := func(when string, key byte, jetsend, sets bool) {
		t.Helper()
		devices := []omemo.Device{device(9), device(key)}
		known, err := f.knownJetsend(t.Context(), bare, devices)
		if got := f.KnownSets(t.Context(), bare, devices); err != nil || known != jetsend || got != sets {
			t.Errorf("%s: a jetsend %t, with sets %t, %v", when, known, got, err)
		}
	}
	check("at first", 1, false, false)
	f.RememberJetsend(t.Context(), device(1))
	check("our profile", 1, true, false)
	f.RememberSets(t.Context(), device(1))
	check("a set", 1, true, true)
	f.RememberJetsend(t.Context(), device(1))
	check("our profile again", 1, true, true)
	f.RememberSets(t.Context(), device(2))
	f.RememberSets(t.Context(), device(2))
	check("a set at once", 2, true, true)
	check("another key", 3, false, false)
	if f.KnownSets(t.Context(), jid.MustParse("nurse@jet.test"), []omemo.Device{device(1)}) {
		t.Error("the key counts for another contact")
	}
	if log.Len() > 0 {
		t.Error(log.String())
	}
	_ = db.Close()
	if f.RememberSets(t.Context(), device(1)); f.KnownSets(t.Context(), bare, []omemo.Device{device(1)}) || strings.Count(log.String(), "\n") != 2 {
		t.Errorf("without a database: %s", log.String())
	}
}

// TestPeerSets: sets are taken in our profile alone.
func TestPeerSets(t *testing.T) {
	jetsend := []string{jingle.NS, jingle.NSFile, jingle.NSJET, NSJETOMEMO, profile.NS}
	for name, tt := range map[string]struct {
		features []string
		want     bool
	}{
		"an older jetsend":  {jetsend, false},
		"a jetsend":         {append(slices.Clone(jetsend), profile.NSSet), true},
		"not our profile":   {append(slices.Clone(jetsend[:4]), profile.NSSet), false},
		"takes no files":    {[]string{profile.NS, profile.NSSet}, false},
		"the feature alone": {[]string{profile.NSSet}, false},
	} {
		p := Describe(jid.MustParse("juliet@jet.test/x"), &session.DiscoInfo{Features: tt.features}, session.Caps{})
		if p.Sets != tt.want || p.Sets && p.Best(dialect.ChooseBest) != dialect.FormJetsend {
			t.Errorf("%s: %t", name, p.Sets)
		}
	}
}

// TestWithoutSets: the contact's address comes from outside.
func TestWithoutSets(t *testing.T) {
	if text := WithoutSets("juliet\x1b@jet.test"); strings.Contains(text, "\x1b") || !strings.Contains(text, "session of its own") {
		t.Errorf("%q", text)
	}
}
