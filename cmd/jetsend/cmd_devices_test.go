package main

import (
	"fmt"
	"strings"
	"testing"

	"jetsend/internal/jid"
)

func TestDevices(t *testing.T) {
	f := newFixture(t)
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example}}\n")
	own, print := f.endpoint.Device()
	f.endpoint.own = []device{
		{JID: jid.MustParse("juliet@capulet.example"), ID: own, Fingerprint: print, Active: true},
		{JID: jid.MustParse("juliet@capulet.example"), ID: 31415, Fingerprint: strings.Repeat("ab", 32), Trust: "blind", Active: true},
	}
	f.wants(0, nil, "devices", "--json")
	if lines := strings.Split(strings.TrimSpace(f.out.String()), "\n"); len(lines) != 2 ||
		!strings.Contains(lines[0], `"trust":"own"`) || !strings.Contains(lines[1], `"id":31415`) {
		t.Errorf("got:\n%s", f.out.String())
	}
	f.wants(2, []string{"jetsend logout"}, "devices", "remove", fmt.Sprint(own))
	f.wants(2, []string{"jetsend devices list"}, "devices", "remove", "1")
	f.wants(2, nil, "devices", "remove", "0x10")
	f.wants(2, nil, "devices", "remove")
	f.wants(0, nil, "devices", "remove", "31415")
	if len(f.endpoint.own) != 1 {
		t.Errorf("left: %v", f.endpoint.own)
	}
}
