package main

import (
	"slices"
	"strings"
	"testing"

	"jetsend/internal/contact"
	"jetsend/internal/jid"
)

func TestContacts(t *testing.T) {
	f := newFixture(t)
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example}}\ncontacts: {romeo: romeo@montague.example/orchard}\n")
	f.endpoint.contacts = []contact.Entry{
		{JID: jid.MustParse("tybalt@capulet.example"), Subscription: "both", Name: "T\x1b[2J"},
		{JID: jid.MustParse("paris@verona.example"), Subscription: "none", Asks: true},
	}
	f.wants(0, nil, "contacts")
	const want = "paris@verona.example    they ask to see us\ntybalt@capulet.example  both see each other  T\ufffd[2J\n"
	if f.out.String() != want {
		t.Errorf("got:\n%q", f.out.String())
	}
	f.wants(0, nil, "contacts", "list", "--json")
	if lines := strings.Split(strings.TrimSpace(f.out.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[0], `"jid":"paris@verona.example","name":"","subscription":"none","asked":false,"asks":true}`) {
		t.Errorf("got:\n%s", f.out.String())
	}
	f.wants(0, nil, "contacts", "add", "romeo")
	f.wants(0, nil, "contacts", "remove", "tybalt@capulet.example")
	f.wants(0, []string{"paris@verona.example sees us now, and is asked to let us see them"}, "contacts", "accept", "paris@verona.example")
	f.wants(0, []string{"tybalt@capulet.example sees us now\n"}, "contacts", "accept", "tybalt@capulet.example") // seen already
	f.wants(0, []string{"romeo@montague.example will see us as soon as it asks, and"}, "contacts", "accept", "romeo")
	done := []string{
		"subscribe romeo@montague.example", "remove tybalt@capulet.example",
		"approve paris@verona.example", "subscribe paris@verona.example", "approve tybalt@capulet.example",
		"approve romeo@montague.example", "subscribe romeo@montague.example",
	}
	if !slices.Equal(f.endpoint.done, done) {
		t.Errorf("did %q", f.endpoint.done)
	}
	f.wants(2, nil, "contacts", "add", "nobody")
	for _, verb := range []string{"add", "accept"} {
		f.wants(2, []string{"juliet@capulet.example is your own address"}, "contacts", verb, "juliet@capulet.example/x")
	}
	f.wants(0, nil, "contacts", "remove", "juliet@capulet.example") // who added it once
	if len(f.endpoint.done) != len(done)+1 {
		t.Errorf("did %q", f.endpoint.done)
	}
	f.endpoint.contacts = nil
	f.wants(0, []string{"no contacts yet"}, "contacts")
	f.wants(0, nil, "--quiet", "contacts")
	if f.err.Len() > 0 {
		t.Error("not quiet:", f.err.String())
	}
}
