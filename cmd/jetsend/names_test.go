package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"jetsend/internal/contact"
	"jetsend/internal/jid"
	"jetsend/internal/state"
)

// TestNames: a short name is the configuration's, else what it was when it was used for
// the first time, else what the account's list of contacts says; a list that says
// something else later moves no file to anybody else.
func TestNames(t *testing.T) {
	f := newFixture(t)
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example}}\ncontacts: {nas: backup@capulet.example}\n")
	db, err := state.Open(t.Context(), state.Path(filepath.Join(f.env["HOME"], ".local/state/jetsend"), jid.MustParse("juliet@capulet.example")))
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	a := filepath.Join(f.env["HOME"], "a")
	if err := os.WriteFile(a, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	romeo, mallory := jid.MustParse("romeo@montague.example"), jid.MustParse("mallory@verona.example")
	f.endpoint.contacts = []contact.Entry{
		{JID: romeo, Name: "My  Romeo"}, {JID: mallory, Name: "nas"},
		{JID: jid.MustParse("a@verona.example"), Name: "Twin"}, {JID: jid.MustParse("b@verona.example"), Name: "twin"},
	}
	sentTo := func(want jid.JID) {
		t.Helper()
		if n := len(f.endpoint.sent); n == 0 || f.endpoint.sent[n-1].To != want {
			t.Errorf("sent %+v, want to %s", f.endpoint.sent, want)
		}
		f.endpoint.sent = nil
	}
	f.wants(0, []string{"my romeo is romeo@montague.example, by your list of contacts"}, "send", a, "my romeo")
	sentTo(romeo)
	f.wants(0, nil, "send", a, "NAS") // the configuration comes first
	sentTo(jid.MustParse("backup@capulet.example"))
	f.wants(2, []string{"twin is the name of several contacts: a@verona.example, b@verona.example"}, "send", a, "twin")
	f.wants(2, []string{"neither an address (name@domain) nor the name of a contact", "contacts add name@domain nobody"}, "send", a, "nobody")

	// The server's word changes.
	f.endpoint.contacts = []contact.Entry{{JID: romeo}, {JID: mallory, Name: "my romeo"}}
	f.wants(2, []string{
		"My Romeo was romeo@montague.example when you used it last, and is mallory@verona.example",
		"`jetsend contacts name mallory@verona.example 'My Romeo'`",
	}, "send", a, "My Romeo")
	if len(f.endpoint.sent) > 0 {
		t.Errorf("sent %+v", f.endpoint.sent)
	}
	f.endpoint.contacts = nil // taken off the list: it is known all the same
	f.wants(0, nil, "send", a, "my romeo")
	sentTo(romeo)
	f.wants(0, nil, "__complete", "trust", "verify", "my")
	if got := f.out.String(); got != "my romeo\tromeo@montague.example\n:4\n" {
		t.Errorf("completed to %q", got)
	}

	// The user's word.
	f.wants(0, []string{"mallory@verona.example has its new name"}, "contacts", "name", mallory.String(), "my romeo")
	f.wants(0, nil, "send", a, "my romeo")
	sentTo(mallory)
	f.wants(0, []string{"asked paris@verona.example"}, "contacts", "add", "paris@verona.example", "paris")
	f.wants(0, nil, "send", a, "Paris")
	sentTo(jid.MustParse("paris@verona.example"))
	f.wants(0, nil, "contacts", "remove", "paris")
	f.wants(2, nil, "send", a, "paris")
	f.wants(2, []string{"cannot be the name of a contact"}, "contacts", "name", romeo.String(), "a@b")
	f.wants(2, []string{"nas is backup@capulet.example in the configuration"}, "contacts", "name", romeo.String(), "nas")
	f.wants(2, nil, "contacts", "name", romeo.String())
	done := []string{
		"name mallory@verona.example my romeo", "name paris@verona.example paris", "subscribe paris@verona.example", "remove paris@verona.example",
	}
	if !slices.Equal(f.endpoint.done, done) {
		t.Errorf("did %q", f.endpoint.done)
	}
}
