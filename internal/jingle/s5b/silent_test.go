package s5b

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/xmltree"
)

// TestSilence: how long the report of a peer is waited for that nobody reached anything
// with. Its own candidates, and a connection that it has made, buy it time; an end that
// cannot propose another transport, or knows that the peer reports, waits for all of it.
func TestSilence(t *testing.T) {
	candidate := Candidate{CID: "c", Host: "192.0.2.1", Port: 1, Priority: 1, Type: Direct}.Element()
	failed := xmltree.New(NS, "candidate-error")
	for name, tt := range map[string]struct {
		cfg     Config
		accept  []*xmltree.Element // in the peer's accept
		later   *xmltree.Element   // a second after it
		reached bool               // the peer has made a connection
		after   time.Duration
		nobody  bool // else there is no agreement
	}{
		"nothing listed":               {cfg: Config{Fallback: true, Silent: true}, after: 5 * time.Second, nobody: true},
		"a candidate listed":           {cfg: Config{Fallback: true, Silent: true}, accept: []*xmltree.Element{candidate}, after: 15 * time.Second, nobody: true},
		"a candidate later":            {cfg: Config{Fallback: true, Silent: true}, later: candidate, after: 15 * time.Second, nobody: true},
		"an error":                     {cfg: Config{Fallback: true, Silent: true}, accept: []*xmltree.Element{candidate}, later: failed, after: 2 * time.Second, nobody: true},
		"a connection":                 {cfg: Config{Fallback: true, Silent: true}, reached: true, after: 30 * time.Second, nobody: true},
		"one that reports":             {cfg: Config{Fallback: true}, after: 30 * time.Second, nobody: true},
		"one that reports, listed":     {cfg: Config{Fallback: true}, accept: []*xmltree.Element{candidate}, after: 30 * time.Second, nobody: true},
		"nothing to fall back to":      {after: 30 * time.Second},
		"an error, no fallback either": {accept: []*xmltree.Element{candidate}, later: failed, after: 2 * time.Second, nobody: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			tt.cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				select { // twice, with timing.retry between
				case <-time.After(time.Second / 2):
				case <-ctx.Done():
				}
				return nil, net.ErrClosed
			}
			tt.cfg.Interfaces = []string{"none"} // nothing is offered
			n, err := New(t.Context(), tt.cfg, "s", romeo, juliet, true)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = n.Close() }()
			infos := make(chan *xmltree.Element, 1)
			if tt.reached {
				_, c := net.Pipe()
				n.srv.accept(accepted{c, 0})
			}
			if tt.later != nil {
				time.AfterFunc(time.Second, func() { infos <- n.transport(tt.later.Clone()) })
			}
			reports := 0
			begun := time.Now()
			_, err = n.Connect(t.Context(), n.transport(tt.accept...), infos, func(context.Context, *xmltree.Element) error {
				reports++
				return nil
			})
			if took := time.Since(begun); took != tt.after {
				t.Errorf("%s: took %v, want %v", name, took, tt.after)
			}
			if err == nil || errors.Is(err, ErrNoCandidate) != tt.nobody || reports != 1 {
				t.Errorf("%s: %v, %d reports", name, err, reports)
			}
		})
	}
}
