package main

import (
	"slices"
	"strings"
	"testing"

	"jetsend/internal/jid"
)

func TestParseFingerprint(t *testing.T) {
	want := strings.Repeat("0123abcd", 8)
	for _, in := range []string{
		want, strings.ToUpper(want), groups(want), "05" + want, strings.Join(strings.Split(want, ""), ":"), " " + want[:10] + "-" + want[10:] + "\n",
		"05" + want[:62] + " " + want[62:],
	} {
		if got, err := parseFingerprint(in); err != nil || got != want {
			t.Errorf("parseFingerprint(%q) = %q, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", want[1:], want + "00", "06" + want, strings.Repeat("g", 64), strings.Repeat("ａ", 64), "05" + want[2:] + "x"} {
		if got, err := parseFingerprint(bad); err == nil {
			t.Errorf("parseFingerprint(%q) = %q", bad, got)
		}
	}
}

func TestIdentityURI(t *testing.T) {
	a, b := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	for _, who := range []string{"juliet@example.org", "a%b?c#d@example.org", "jülia@example.org"} {
		of := jid.MustParse(who)
		got, err := parseURI(identityURI(of, 123, a))
		if err != nil || !slices.Equal(got, []claim{{of, 123, a}}) {
			t.Errorf("%s: %s is read as %v, %v", who, identityURI(of, 123, a), got, err)
		}
	}
	if got := identityURI(jid.MustParse("juliet@example.org/x"), 123, a); got != "xmpp:juliet@example.org?omemo-sid-123="+a {
		t.Error(got)
	}
	juliet := jid.MustParse("juliet@example.org")
	for _, in := range []string{
		"xmpp:juliet@example.org?omemo-sid-1=" + a + ";omemo-sid-2=" + b,
		"XMPP:Juliet@EXAMPLE.org?message;omemo-sid-1=" + strings.ToUpper(a) + "&omemo-sid-2=05" + b,
	} {
		if got, err := parseURI(in); err != nil || !slices.Equal(got, []claim{{juliet, 1, a}, {juliet, 2, b}}) {
			t.Errorf("%s is read as %v, %v", in, got, err)
		}
	}
	for _, bad := range []string{
		"", "xmpp:", "juliet@example.org", "xmpp:juliet@example.org", "xmpp:example.org?omemo-sid-1=" + a, "xmpp:juliet@example.org/x?omemo-sid-1=" + a,
		"xmpp:juliet@example.org?omemo-sid-0=" + a, "xmpp:juliet@example.org?omemo-sid-x=" + a, "xmpp:juliet@example.org?omemo-sid-1=" + a[1:],
		"xmpp:juliet@example.org?omemo-sid-1", "xmpp:%zz@example.org?omemo-sid-1=" + a, "xmpp:juliet@example.org?omemo-sid-4294967297=" + a,
	} {
		if got, err := parseURI(bad); err == nil {
			t.Errorf("parseURI(%q) = %v", bad, got)
		}
	}
}
