package acquaint

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
)

// wants fails unless two lists are the same.
func wants(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

const (
	julietsKey = "juliet@capulet.example j"
	romeosKey  = "romeo@montague.example r"
	julietJID  = "juliet@capulet.example"
	romeoJID   = "romeo@montague.example"
)

// met fails unless both are contacts, verified, and nobody else is.
func met(t *testing.T, juliet, romeo *person) {
	t.Helper()
	synctest.Wait()
	wants(t, "juliet knows", juliet.knows(), romeosKey)
	wants(t, "romeo knows", romeo.knows(), julietsKey)
	wants(t, "juliet shows herself to", juliet.shows(), romeoJID)
	wants(t, "romeo shows himself to", romeo.shows(), julietJID)
}

// TestMeet: one link, two contacts, two proven keys; the link is forgotten at both ends.
func TestMeet(t *testing.T) {
	two(t, func(t *testing.T, _ *servers, juliet, romeo *person) {
		l := juliet.issues(Terms{})
		if err := romeo.redeems(l); err != nil {
			t.Fatal(err)
		}
		met(t, juliet, romeo)
		if all, err := romeo.Book.Taken(t.Context()); err != nil || len(all) > 0 {
			t.Errorf("romeo still has %v, %v", all, err)
		}
		all, err := juliet.Book.List(t.Context())
		if err != nil || len(all) != 1 || all[0].State(time.Now()) != "used" || len(all[0].By) != 1 || all[0].By[0].String() != romeoJID {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// TestVerdicts: what is wrong with a link is said to who has it, and nothing comes of it.
func TestVerdicts(t *testing.T) {
	for want, spoil := range map[invite.Verdict]func(*testing.T, *person) *invite.Link{
		invite.Expired: func(_ *testing.T, juliet *person) *invite.Link {
			l := juliet.issues(Terms{For: time.Hour})
			time.Sleep(time.Hour)
			return l
		},
		invite.Revoked: func(t *testing.T, juliet *person) *invite.Link {
			l := juliet.issues(Terms{})
			if err := juliet.Book.Revoke(t.Context(), l.ID); err != nil {
				t.Fatal(err)
			}
			if err := juliet.Book.Revoke(t.Context(), l.ID); !errors.Is(err, ErrUnknown) {
				t.Errorf("revoked twice: %v", err)
			}
			return l
		},
		invite.Other: func(_ *testing.T, juliet *person) *invite.Link {
			return juliet.issues(Terms{Bound: jid.MustParse("benvolio@montague.example")})
		},
		invite.Used: func(t *testing.T, juliet *person) *invite.Link {
			l := juliet.issues(Terms{})
			nurse := juliet.account.servers.somebody(t, "nurse@capulet.example")
			if err := nurse.redeems(l); err != nil {
				t.Fatal(err)
			}
			if err := juliet.keys.forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			return l
		},
	} {
		t.Run(string(want), func(t *testing.T) {
			two(t, func(t *testing.T, _ *servers, juliet, romeo *person) {
				err := romeo.redeems(spoil(t, juliet))
				var verdict *VerdictError
				if !errors.As(err, &verdict) || verdict.Verdict != want || verdict.Error() == "" {
					t.Errorf("%v", err)
				}
				wants(t, "juliet knows", juliet.knows())
				wants(t, "romeo knows", romeo.knows())
				wants(t, "romeo shows himself to", romeo.shows())
				if slices.Contains(juliet.shows(), romeoJID) {
					t.Error("juliet shows herself to romeo")
				}
				if all, err := romeo.Book.Taken(t.Context()); err != nil || len(all) > 0 {
					t.Errorf("romeo still has %v, %v", all, err)
				}
			})
		})
	}
}

// forget has nobody verified.
func (k *keyring) forget(ctx context.Context) error {
	_, err := k.db.ExecContext(ctx, `DELETE FROM vouched`)
	return err
}

// TestUses: a link for several lets several in, each once.
func TestUses(t *testing.T) {
	two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
		l := juliet.issues(Terms{Uses: 2})
		nurse := s.somebody(t, "nurse@capulet.example")
		for range 2 { // the same again is the same
			for _, p := range []*person{romeo, nurse} {
				if err := p.redeems(l); err != nil {
					t.Fatal(err)
				}
			}
		}
		var verdict *VerdictError
		if err := s.somebody(t, "tybalt@capulet.example").redeems(l); !errors.As(err, &verdict) || verdict.Verdict != invite.Used {
			t.Errorf("a third one: %v", err)
		}
		wants(t, "juliet knows", juliet.knows(), "nurse@capulet.example n", romeosKey)
	})
}

// TestAway: who is not there when the link is redeemed answers when she comes, and romeo's
// receiver goes on with it.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{}
		juliet, romeo := s.somebody(t, julietJID), s.somebody(t, romeoJID)
		juliet.account.online = false
		l := juliet.issues(Terms{})
		if err := romeo.redeems(l); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("nobody is there: %v", err)
		}
		defer romeo.runs()()
		juliet.account.online = true
		defer juliet.runs()()
		time.Sleep(sayLater + time.Second)
		met(t, juliet, romeo)
	})
}

// removes takes somebody off the list, and forgets their keys.
func (p *person) removes(who *person) {
	p.t.Helper()
	s := p.account.servers
	s.mu.Lock()
	delete(p.account.sees, who.account.self.Bare())
	delete(p.account.ahead, who.account.self.Bare())
	s.mu.Unlock()
	if err := errors.Join(p.Book.Shut(p.t.Context(), who.account.self), p.keys.forget(p.t.Context())); err != nil {
		p.t.Fatal(err)
	}
}

// TestRemoved: who was removed does not come back by the invitation that they have used.
func TestRemoved(t *testing.T) {
	two(t, func(t *testing.T, _ *servers, juliet, romeo *person) {
		l := juliet.issues(Terms{})
		if err := romeo.redeems(l); err != nil {
			t.Fatal(err)
		}
		juliet.removes(romeo)
		if err := romeo.redeems(l); err != nil {
			t.Errorf("the same answer: %v", err)
		}
		wants(t, "juliet knows", juliet.knows())
		wants(t, "juliet shows herself to", juliet.shows())
	})
}

// TestRemovedForGood: nor with other keys, while the invitation is open.
func TestRemovedForGood(t *testing.T) {
	two(t, func(t *testing.T, _ *servers, juliet, romeo *person) {
		l := juliet.issues(Terms{Uses: 5})
		if err := romeo.redeems(l); err != nil {
			t.Fatal(err)
		}
		juliet.removes(romeo)
		romeo.keys.named = []omemo.Device{deviceOf('x')}
		var verdict *VerdictError
		if err := romeo.redeems(l); !errors.As(err, &verdict) || verdict.Verdict != invite.Revoked {
			t.Errorf("%v", err)
		}
		wants(t, "juliet knows", juliet.knows())
		wants(t, "juliet shows herself to", juliet.shows())
	})
}

// TestGivenUp: a link that was taken goes with its issuer, when the user removes them.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{}
		juliet, romeo := s.somebody(t, julietJID), s.somebody(t, romeoJID)
		if err := romeo.redeems(juliet.issues(Terms{})); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		romeo.removes(juliet)
		defer romeo.runs()()
		defer juliet.runs()()
		time.Sleep(2 * sayLatest)
		wants(t, "romeo knows", romeo.knows())
		wants(t, "romeo shows himself to", romeo.shows())
	})
}

// TestSameNames: what we say of ourselves is the same until it is answered, whatever the server says
// our devices are; so a yes that was lost stays a yes.
func TestSameNames(t *testing.T) {
	two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
		romeo.keys.named = append(romeo.keys.named, deviceOf('s'))
		l := juliet.issues(Terms{})
		s.taps(func(m *sent) []*sent {
			if p := m.payload(); p != nil && p.Name.Local == "confirm" {
				return nil
			}
			return []*sent{m}
		})
		if err := romeo.redeems(l); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		s.taps(nil)
		romeo.keys.named = romeo.keys.named[:1]
		time.Sleep(10 * time.Minute)
		if err := romeo.redeems(l); err != nil {
			t.Error(err)
		}
		wants(t, "juliet knows", juliet.knows(), romeosKey, "romeo@montague.example s")
		wants(t, "romeo knows", romeo.knows(), julietsKey)
	})
}

// TestTwoProcesses: what one process of the account has settled is an answer for the other one, too.
func TestTwoProcesses(t *testing.T) {
	two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
		l := juliet.issues(Terms{})
		taken := romeo.takes(l)
		s.taps(func(m *sent) []*sent {
			if p := m.payload(); p != nil && p.Name.Local == "confirm" { // the daemon was first
				if _, err := romeo.Book.Settle(context.Background(), taken, func(context.Context, *sql.Tx) error { return nil }); err != nil {
					t.Error(err)
				}
			}
			return []*sent{m}
		})
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := romeo.Party.Redeem(ctx, taken); err != nil {
			t.Error(err)
		}
	})
}

// TestGone: a session that has ended ends the waiting.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{done: make(chan struct{})}
		juliet, romeo := s.somebody(t, julietJID), s.somebody(t, romeoJID)
		l := juliet.issues(Terms{})
		time.AfterFunc(time.Second, func() { close(s.done) })
		if err := romeo.redeems(l); !errors.Is(err, errGone) {
			t.Errorf("redeem: %v", err)
		}
		if i, err := juliet.Await(t.Context(), l.ID); !errors.Is(err, errGone) || i.Used != 0 {
			t.Errorf("await: %+v, %v", i, err)
		}
		juliet.Run(t.Context())
	})
}

// TestMind: devices of somebody that are refused from now on, and were used, are told of.
func TestMind(t *testing.T) {
	two(t, func(t *testing.T, _ *servers, juliet, romeo *person) {
		juliet.keys.known = []omemo.Device{
			{ID: 1, Trust: omemo.Undecided, Active: true, LastUsed: time.Now()}, {ID: 2, Trust: omemo.Undecided, Active: true},
			{ID: 3, Trust: omemo.Verified, Active: true, LastUsed: time.Now()}, {ID: 4, Trust: omemo.Undecided, LastUsed: time.Now()},
		}
		if err := romeo.redeems(juliet.issues(Terms{})); err != nil {
			t.Fatal(err)
		}
		wants(t, "told", juliet.warned(), "device 1 of romeo@montague.example is refused from now on, until its key is verified")
	})
}

// TestAwait ends with the last use, or with the invitation.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{}
		juliet, romeo := s.somebody(t, julietJID), s.somebody(t, romeoJID)
		l := juliet.issues(Terms{For: time.Minute})
		go func() { _ = romeo.redeems(l) }()
		if i, err := juliet.Await(t.Context(), l.ID); err != nil || i.Used != 1 {
			t.Errorf("%+v, %v", i, err)
		}
		old := juliet.issues(Terms{For: time.Minute})
		if i, err := juliet.Await(t.Context(), old.ID); err != nil || i.Used != 0 || i.State(time.Now()) != "expired" {
			t.Errorf("%+v, %v", i, err)
		}
		synctest.Wait()
	})
}

// TestSettleOnce: an answer is taken once, whatever other process is at the same link.
func TestSettleOnce(t *testing.T) {
	two(t, func(t *testing.T, _ *servers, juliet, romeo *person) {
		taken := romeo.takes(juliet.issues(Terms{}))
		verified := 0
		for _, want := range []bool{true, false} {
			settled, err := romeo.Book.Settle(t.Context(), taken, func(context.Context, *sql.Tx) error { verified++; return nil })
			if err != nil || settled != want {
				t.Errorf("settled: %v, %v", settled, err)
			}
		}
		if verified != 1 {
			t.Errorf("verified %d times", verified)
		}
	})
}
