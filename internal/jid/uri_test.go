package jid_test

import (
	"testing"

	"jetsend/internal/jid"
)

func TestParseTyped(t *testing.T) {
	for in, want := range map[string]string{
		"romeo@montague.example":                           "romeo@montague.example",
		"xmpp:romeo@montague.example":                      "romeo@montague.example",
		"XMPP:Romeo@Montague.Example":                      "romeo@montague.example",
		"xmpp:romeo@montague.example/orchard":              "romeo@montague.example/orchard",
		"xmpp:romeo@montague.example?message;body=a%20b":   "romeo@montague.example",
		"xmpp:romeo@montague.example?omemo-sid-1=aa#there": "romeo@montague.example",
		"xmpp:nasty%21node@example.com":                    "nasty!node@example.com",
		"romeo@montague.example/what?":                     "romeo@montague.example/what?",
		"xmpp://juliet@capulet.example/romeo@example.com":  "",
		"xmpp://romeo@montague.example":                    "",
		"xmpp:":                                            "",
		"xmpp:%zz@example.com":                             "",
		"xmpp:?message":                                    "",
		"":                                                 "",
	} {
		j, err := jid.ParseTyped(in)
		if (err == nil) != (want != "") || j.String() != want {
			t.Errorf("%q: %q, %v; want %q", in, j, err, want)
		}
	}
}
