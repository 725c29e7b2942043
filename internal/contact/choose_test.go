package contact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
)

// stage is an account whose contact comes and goes as a test says, and what was reported.
type stage struct {
	mu       sync.Mutex
	online   []session.Resource
	says     map[jid.JID][]string // features; nil: an error answer
	changed  chan struct{}
	done     chan struct{}
	reported []event.Event
	devices  []omemo.Device
}

func newStage() *stage {
	return &stage{says: map[jid.JID][]string{}, changed: make(chan struct{}), done: make(chan struct{})}
}

// comes puts a client online that says these features.
func (s *stage) comes(name string, features ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := jid.MustParse("juliet@jet.test/" + name)
	s.online = append(s.online, session.Resource{JID: full, Seen: time.Now()})
	s.says[full] = features
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stage) report(ev event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reported = append(s.reported, ev)
}

func (s *stage) JID() jid.JID                  { return jid.MustParse("romeo@jet.test/here") }
func (s *stage) Appear(context.Context) error  { return nil }
func (s *stage) Done() <-chan struct{}         { return s.done }
func (*stage) SubscriptionRequests() []jid.JID { return nil }

func (*stage) Roster(context.Context) ([]session.RosterItem, error) {
	return []session.RosterItem{{JID: jid.MustParse("juliet@jet.test"), Subscription: "both"}}, nil
}

func (s *stage) Resources(jid.JID) []session.Resource {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.online)
}

func (s *stage) PresenceChanged() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *stage) DiscoInfo(_ context.Context, of jid.JID, _ string) (*session.DiscoInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	features := s.says[of]
	if features == nil {
		return nil, stanza.NewError(stanza.ServiceUnavailable)
	}
	return &session.DiscoInfo{Identities: []session.Identity{{Category: "client", Name: "Some"}}, Features: features}, nil
}

// Devices implements [Keys].
func (s *stage) Devices(context.Context, jid.JID) ([]omemo.Device, error) { return s.devices, nil }

// TestChoose: how long somebody is waited for, and what is said of it.
func TestChoose(t *testing.T) {
	jet := []string{jingle.NS, jingle.NSFile, jingle.NSJET, NSJETOMEMO}
	const wait = time.Minute
	for name, tt := range map[string]struct {
		patient  bool
		least    dialect.Form
		happens  func(*stage, context.CancelFunc)
		found    string
		err      error
		code     exitcode.Code
		after    time.Duration
		reported string
	}{
		"there":    {happens: func(s *stage, _ context.CancelFunc) { s.comes("a", jet...) }, found: "a"},
		"nobody":   {code: exitcode.Offline, after: wait, reported: "Waiting"},
		"comes":    {happens: func(s *stage, _ context.CancelFunc) { time.AfterFunc(10*time.Second, func() { s.comes("a", jet...) }) }, found: "a", after: 10*time.Second + settle, reported: "Waiting"},
		"too late": {happens: func(s *stage, _ context.CancelFunc) { time.AfterFunc(wait+1, func() { s.comes("a", jet...) }) }, code: exitcode.Offline, after: wait, reported: "Waiting"},
		"the last moment": {
			happens: func(s *stage, _ context.CancelFunc) { time.AfterFunc(wait-1, func() { s.comes("a", jet...) }) },
			found:   "a", after: wait, reported: "Waiting",
		},
		"takes none":        {happens: func(s *stage, _ context.CancelFunc) { s.comes("a", jingle.NS) }, code: exitcode.Incapable, after: burst},
		"takes none, hoped": {happens: func(s *stage, _ context.CancelFunc) { s.comes("a", jingle.NS) }, patient: true, code: exitcode.Incapable, after: wait, reported: "Warning Waiting"},
		"does not say":      {happens: func(s *stage, _ context.CancelFunc) { s.comes("a") }, code: exitcode.Incapable, after: wait, reported: "Waiting"},
		"takes less":        {happens: func(s *stage, _ context.CancelFunc) { s.comes("a", jet...) }, least: dialect.FormJetsend, code: exitcode.Incapable, after: wait, reported: "Waiting"},
		"the account is over": {
			happens: func(s *stage, _ context.CancelFunc) { time.AfterFunc(time.Second/2, func() { close(s.done) }) },
			err:     fault.ErrStreamLost, after: time.Second / 2,
		},
		"stopped": {
			happens: func(_ *stage, stop context.CancelFunc) { time.AfterFunc(time.Second/2, stop) },
			err:     context.Canceled, after: time.Second / 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				f := &Finder{Account: s, Keys: s, Report: s.report, Log: slog.New(slog.DiscardHandler)}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				if tt.happens != nil {
					tt.happens(s, stop)
				}
				begun := time.Now()
				got, err := f.Await(ctx, Options{To: jid.MustParse("juliet@jet.test"), Wait: wait, Patient: tt.patient}, max(tt.least, anyForm))
				if took := time.Since(begun); took != tt.after {
					t.Errorf("after %v, want %v", took, tt.after)
				}
				var fail *fault.Failure
				switch {
				case tt.found != "":
					if err != nil || len(got) != 1 || got[0].JID.Resource() != tt.found {
						t.Errorf("%+v, %v", got, err)
					}
				case tt.code != 0 && (!errors.As(err, &fail) || fail.Code != tt.code), tt.err != nil && !errors.Is(err, tt.err):
					t.Errorf("%v", err)
				}
				var kinds []string
				for _, ev := range s.reported {
					kinds = append(kinds, strings.TrimPrefix(fmt.Sprintf("%T", ev), "event."))
				}
				if got := strings.Join(kinds, " "); got != tt.reported {
					t.Errorf("reported %q, want %q", got, tt.reported)
				}
			})
		})
	}
}

// TestChooseProven: of clients of one form the one that a device with a verified key was heard from
// goes first, for the others of that contact are refused.
func TestChooseProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jet := []string{jingle.NS, jingle.NSFile, jingle.NSJET, NSJETOMEMO}
		s := newStage()
		for _, name := range []string{"a", "b", "c"} {
			s.comes(name, jet...)
		}
		s.devices = []omemo.Device{
			{ID: 1, Trust: omemo.Undecided, Active: true, At: jid.MustParse("juliet@jet.test/a")}, {ID: 2, Trust: omemo.Verified, Active: true, At: jid.MustParse("juliet@jet.test/b")},
			{ID: 3, Trust: omemo.Verified, Active: true},
		}
		f := &Finder{Account: s, Keys: s, DB: openKeys(t), Report: s.report, Log: slog.New(slog.DiscardHandler)}
		peers, err := f.Choose(t.Context(), Options{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute})
		if err != nil || len(peers) != 3 || peers[0].JID.Resource() != "b" {
			t.Errorf("%v, %v", peers, err)
		}
	})
}
