package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"jetsend/internal/xmpptest/pair"
)

// finding is what doctor says of the outside.
type finding struct {
	Check   string `json:"check"`
	Text    string `json:"text"`
	Details struct {
		Router  string   `json:"router"`
		IPv6    []string `json:"ipv6"`
		Mapping string   `json:"mapping"`
	} `json:"details"`
}

// diagnosis is what doctor must find in a home, with one STUN service to ask.
type diagnosis struct {
	router       string
	ipv6, mapped bool
}

func diagnoses() map[string]diagnosis {
	return map[string]diagnosis{
		kindPublic: {router: "none"}, kindV6: {router: "unknown", ipv6: true}, kindHome: {router: "keeps-port"}, kindRST: {router: "keeps-port"},
		kindSymmetric: {router: "unknown"}, kindUPnP: {router: "keeps-port", mapped: true}, kindPMP: {router: "keeps-port", mapped: true},
		kindDouble: {router: "keeps-port"}, kindNoV4: {router: "unknown", ipv6: true},
	}
}

// runDoctor has doctor look at the outside from every home, and prints what it says. It
// returns how often that is wrong.
func (l *lab) runDoctor(ctx context.Context, stdout io.Writer) (bad int, err error) {
	fmt.Fprintln(stdout, "\ndoctor: how each home is seen from outside")
	want := diagnoses()
	for _, kind := range kinds() {
		homes, built := l.homes[kind]
		if !built {
			continue
		}
		f, err := l.outside(ctx, homes[sideA])
		if err != nil {
			return bad, err
		}
		verdict := "ok"
		if got := (diagnosis{f.Details.Router, len(f.Details.IPv6) > 0, f.Details.Mapping != ""}); got != want[kind] {
			bad++
			verdict = fmt.Sprintf("WRONG: %+v, want %+v", got, want[kind])
		}
		fmt.Fprintf(stdout, "%-14s %s  %s\n", kind, f.Text, verdict)
	}
	return bad, nil
}

// outside runs doctor in a home.
func (l *lab) outside(ctx context.Context, h *home) (f finding, err error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	p, err := start(l.sender, h, "", "doctor", "--json")
	if err != nil {
		return f, err
	}
	defer func() { _ = p.Stop(stopTimeout) }() // killed at the latest
	select {
	case <-p.Done():
	case <-ctx.Done():
		return f, fmt.Errorf("doctor does not end: %w\n%s", ctx.Err(), story(p))
	}
	events := p.Events()
	i := slices.IndexFunc(events, func(e pair.Event) bool {
		f = finding{}
		return json.Unmarshal([]byte(e.Line), &f) == nil && f.Check == "outside"
	})
	if i < 0 {
		return f, fmt.Errorf("doctor says nothing of the outside\n%s", story(p))
	}
	return f, nil
}
