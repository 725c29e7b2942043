package policy

import (
	"context"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
)

// roster is an account with contacts.
type roster map[string]string

func (roster) JID() jid.JID                       { return jid.MustParse("juliet@jet.test/here") }
func (r roster) Subscription(bare jid.JID) string { return r[bare.String()] }

func (r roster) Roster(context.Context) (items []session.RosterItem, err error) {
	for address, subscription := range r {
		items = append(items, session.RosterItem{JID: jid.MustParse(address), Subscription: subscription})
	}
	return items, nil
}

var (
	contact  = jid.MustParse("romeo@jet.test/orchard")
	stranger = jid.MustParse("paris@jet.test/x")
	people   = People{Account: roster{"romeo@jet.test": "both", "tybalt@jet.test": "to"}}
)

func rules(c Choice) Rules { return Rules{Choice: c, People: people} }

// TestAdmits: who is admitted by which policy, with and without --from.
func TestAdmits(t *testing.T) {
	tybalt := jid.MustParse("tybalt@jet.test/x") // whom we see, and who does not see us
	for _, tt := range []struct {
		accept           Accept
		from             []jid.JID
		who              jid.JID
		admits, stranger bool
	}{
		{Contacts, nil, contact, true, false},
		{Contacts, nil, tybalt, false, false},
		{Contacts, nil, stranger, false, false},
		{Contacts, nil, jid.MustParse("juliet@jet.test/there"), true, false},
		{Contacts, []jid.JID{stranger.Bare()}, contact, false, false},
		{Contacts, []jid.JID{stranger.Bare()}, stranger, false, false},
		{Ask, nil, contact, true, false},
		{Ask, nil, stranger, false, false},
		{Verified, nil, contact, true, false},
		{Verified, nil, tybalt, false, false},
		{All, nil, contact, true, true},
		{All, nil, stranger, false, true},
		{All, []jid.JID{contact}, stranger, false, false},
		{From, []jid.JID{stranger.Bare()}, stranger, true, false},
		{From, []jid.JID{stranger.Bare()}, contact, false, false},
		{From, []jid.JID{contact}, contact.Bare(), true, false},
		{"", nil, contact, false, false},
	} {
		r := Rules{Choice{Accept: tt.accept, From: tt.from}, people, map[jid.JID]bool{contact.Bare(): true}}
		if a, s := r.Admits(tt.who), r.AdmitsStranger(tt.who.Bare()); a != tt.admits || s != tt.stranger {
			t.Errorf("%s from %v: %s: admitted %v, as a stranger %v", tt.accept, tt.from, tt.who, a, s)
		}
	}
}

// TestJudge: an unverified device is refused by the policy for an offer, and by the trust
// mode for a request, too.
func TestJudge(t *testing.T) {
	blind, verified := omemo.Device{Trust: omemo.Blind}, omemo.Device{Trust: omemo.Verified}
	for _, tt := range []struct {
		choice          Choice
		offers, refused bool
	}{
		{Choice{Accept: Contacts}, true, false},
		{Choice{Accept: Verified}, true, true},
		{Choice{Accept: Verified}, false, false},
		{Choice{Accept: Contacts, Trust: omemo.VerifiedMode}, true, true},
		{Choice{Accept: Contacts, Trust: omemo.VerifiedMode}, false, true},
	} {
		r := rules(tt.choice)
		if err := r.Judge(blind, tt.offers); (err != nil) != tt.refused {
			t.Errorf("%+v, offers %v: %v", tt.choice, tt.offers, err)
		}
		if err := r.Judge(verified, tt.offers); err != nil {
			t.Errorf("%+v: verified: %v", tt.choice, err)
		}
	}
}

// TestCrowd: strangers are one crowd where they are let in; else a server that gives no
// list of contacts has nothing thrown away by that.
func TestCrowd(t *testing.T) {
	who := stranger.Bare()
	for _, accept := range []Accept{Contacts, Verified, Ask, From, All} {
		want := who
		if accept == All {
			want = jid.JID{}
		}
		if got := rules(Choice{Accept: accept}).Crowd(who); got != want {
			t.Errorf("%v: counted with %q", accept, got)
		}
	}
}

// TestContacts: those who see us, and we.
func TestContacts(t *testing.T) {
	all, err := rules(Choice{Accept: Contacts}).Contacts(t.Context())
	if err != nil || len(all) != 2 || all[0].String() != "juliet@jet.test" || all[1] != contact.Bare() {
		t.Errorf("%v, %v", all, err)
	}
	all, err = rules(Choice{Accept: From, From: []jid.JID{stranger}}).Contacts(t.Context())
	if err != nil || len(all) != 1 || all[0] != stranger.Bare() {
		t.Errorf("named: %v, %v", all, err)
	}
}
