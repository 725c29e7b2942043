package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/route"
	"jetsend/internal/transfer"
)

// TestResumeWhat: which transfers a run is asked to go on with, and that
// nothing is dialled when there are none.
func TestResumeWhat(t *testing.T) {
	f := newFixture(t)
	f.wants(0, []string{"nothing to resume"}, "resume") // without any state
	foreign := sentRow("f0000000")
	foreign.Profile = false
	f.row(sentRow("aaaa0000"), journal.Interrupted, 450)
	f.row(sentRow("aaaa1111"), journal.Complete, 1000)
	f.row(sentRow("dddd0000"), journal.Failed, 10)
	f.row(sentRow("eeee0000"), journal.Running, 10)
	f.row(sentRow("eeee1111"), journal.Offered, 0)
	f.row(receivedRow(t, "bbbb0000"), journal.Interrupted, 1)
	f.row(foreign, journal.Interrupted, 5)

	a, b := sentRow("aaaa0000").Key, receivedRow(t, "bbbb0000").Key
	for _, tt := range []struct {
		name string
		args []string
		code int
		want []journal.Key
		says []string
	}{
		{name: "all", want: []journal.Key{a, b, foreign.Key}},
		{name: "by prefix", args: []string{"aaaa00"}, want: []journal.Key{a}},
		{name: "upper case, twice", args: []string{"BBBB0000", "bbbb"}, want: []journal.Key{b}},
		{name: "a complete one is no trouble", args: []string{"aaaa1", "aaaa0"}, want: []journal.Key{a}, says: []string{"aaaa1111 (a.iso) is already complete"}},
		{name: "nothing but complete", args: []string{"aaaa1"}, says: []string{"already complete"}},
		{name: "unknown", args: []string{"12345"}, code: 2, says: []string{"there is no transfer 12345", "hint: see `jetsend transfers list`"}},
		{name: "empty", args: []string{""}, code: 2},
		{name: "ambiguous", args: []string{"aaaa"}, code: 2, says: []string{"several transfers begin with aaaa", uuidOf("aaaa0000") + ", " + uuidOf("aaaa1111")}},
		{name: "failed", args: []string{"dddd"}, code: 2, says: []string{"dddd0000 (a.iso) has failed", "hint: send it again with `jetsend send /srv/a.iso romeo@montague.example`"}},
		{name: "running", args: []string{"eeee0"}, code: 12, says: []string{"eeee0000 (a.iso) is running in another process", "hint: wait"}},
		{name: "offered", args: []string{"eeee1"}, code: 12},
		{name: "one running among others", args: []string{"aaaa0", "eeee0"}, code: 12},
		{name: "to another client: from the beginning", args: []string{"f000"}, want: []journal.Key{foreign.Key}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.t, f.endpoint.resumed, f.dialled = t, nil, nil
			f.wants(tt.code, tt.says, append([]string{"resume"}, tt.args...)...)
			if len(tt.want) == 0 {
				if len(f.dialled) > 0 {
					t.Error("went online for nothing")
				}
				return
			}
			o := f.endpoint.resumed[0]
			if !slices.Equal(o.Transfers, tt.want) || o.Named != (len(tt.args) > 0) {
				t.Errorf("asked for %v, named %v", o.Transfers, o.Named)
			}
			if f.dialled[0].Receiver {
				t.Error("logged in as a receiver")
			}
		})
	}
	f.t = t
	f.wants(0, []string{"nothing to resume"}, "--state-dir", t.TempDir(), "resume")
	f.wants(2, []string{"`jetsend --state-dir="}, "--state-dir", f.env["HOME"]+"/.local/state/jetsend", "resume", "dddd")
}

// TestResumeOptions: what either section forbids is forbidden to a run that may
// move files both ways, unless a flag says otherwise.
func TestResumeOptions(t *testing.T) {
	f := newFixture(t)
	f.row(sentRow("aaaa0000"), journal.Interrupted, 450)
	both := route.Options{Transports: []string{"s5b", "ibb"}}
	retry := transfer.RetryOptions{Retries: 5, For: 10 * time.Minute}
	for _, tt := range []struct {
		name, config string
		args         []string
		want         transfer.ResumeOptions
	}{
		{name: "defaults", want: transfer.ResumeOptions{AnswerTimeout: 5 * time.Minute, Wait: 10 * time.Second, Route: both, Retry: retry}},
		{
			name: "configuration", config: "{send: {wait: 1m, retries: 0, limit_rate: 3MB}, receive: {no_direct: true, limit_rate: 2MB, retries: 9}}",
			want: transfer.ResumeOptions{AnswerTimeout: 5 * time.Minute, Wait: time.Minute, LimitRate: 2e6, Route: route.Options{Transports: both.Transports, NoDirect: true}, Retry: transfer.RetryOptions{For: 10 * time.Minute}},
		},
		{
			name: "flags", config: "{send: {wait: 1m}, receive: {no_direct: true, limit_rate: 2MB}}",
			args: []string{"--no-direct=false", "--limit-rate=5MB", "--transport=ibb", "--wait=1d", "--retry-for=0"},
			want: transfer.ResumeOptions{AnswerTimeout: 5 * time.Minute, Wait: 24 * time.Hour, LimitRate: 5e6, Route: route.Options{Transports: []string{"ibb"}}, Retry: transfer.RetryOptions{Retries: 5}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.t, f.endpoint.resumed = t, nil
			f.file(".config/jetsend/config.yaml", strings.TrimSpace(tt.config))
			f.wants(0, nil, append([]string{"resume"}, tt.args...)...)
			tt.want.Transfers = []journal.Key{sentRow("aaaa0000").Key}
			f.endpoint.resumed[0].Anew = nil // cannot be compared
			if diff := cmp.Diff([]transfer.ResumeOptions{tt.want}, f.endpoint.resumed); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestResumeAnew: what a transfer ends with that has to begin anew is a command
// that can be run as it stands, where there is one.
func TestResumeAnew(t *testing.T) {
	f := newFixture(t)
	f.row(sentRow("aaaa0000"), journal.Interrupted, 450)
	dir := f.env["HOME"] + "/.local/state/jetsend"
	f.wants(0, nil, "--state-dir", dir, "resume")
	file, input, received := sentRow("aaaa0000"), sentRow("aaaa1111"), receivedRow(t, "bbbb0000")
	file.Path, input.Source = "/srv/a b.iso", journal.SourceSpool
	for want, row := range map[string]*journal.Row{
		"send it again with `jetsend --state-dir=" + dir + " send '/srv/a b.iso' romeo@montague.example`": &file,
		"send it again": &input,
		"ask romeo@montague.example to send it again": &received,
	} {
		if got := f.endpoint.resumed[0].Anew(row); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestResumeEnds(t *testing.T) {
	f := newFixture(t)
	f.row(sentRow("aaaa0000"), journal.Interrupted, 450)
	f.endpoint.result = &fault.Failure{Code: 11, Reason: "gone", Reported: true}
	f.wants(11, nil, "resume")
	if f.err.Len() > 0 || f.endpoint.closed != 1 {
		t.Errorf("closed %d times, said:\n%s", f.endpoint.closed, f.err.String())
	}
}
