package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"jetsend/internal/config"
	"jetsend/internal/jid"
	"jetsend/internal/outbox"
	"jetsend/internal/transfer"
)

// TestQueuedOptions: what the user has said for a send is what it is made with, whatever the
// configuration says when it is delivered; but for the rate, which is that of the run, and the wait.
func TestQueuedOptions(t *testing.T) {
	minute := time.Minute
	said := config.Default().Send
	said.AnswerTimeout, said.Encryption, said.Cipher, said.RequireHiddenName, said.RequireVerifiedReceipt = &minute, "jet", "aes-256-gcm", true, true
	said.NoDirect, said.Description, said.Checksum, said.AllOrNothing, said.Retries, said.RetryFor = true, "for you", true, true, 7, 3*time.Hour
	said.LimitRate, said.Exclude = 1000, []string{"*.o"}
	options, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{}
	now := config.Default()
	now.Send.Description, now.Send.Exclude = "another", []string{"*.c"}
	p := &port{a: a, c: &now}
	e := &outbox.Entry{ID: uuidOf("aaaa"), Peer: jid.MustParse("juliet@jet.test"), Files: []outbox.File{{Path: "/a", Name: "b", Exclude: []string{"*.x"}}}, Options: options}
	got, err := p.options(e)
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Send = said
	want, err := a.sendOptions(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Files) != 1 || got.Files[0].Path != "/a" || got.Files[0].Name != "b" || !got.Files[0].Exclude.Excludes("d.x", false) || got.Files[0].Exclude.Excludes("d.c", false) {
		t.Errorf("files: %+v", got.Files)
	}
	want.To, want.LimitRate, want.Patient, want.Files = e.Peer, transfer.KeepRate, true, got.Files
	if got, want := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if now.Send.Description != "another" {
		t.Error("the configuration of the run has changed")
	}
}
