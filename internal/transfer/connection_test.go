package transfer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/upkeep"
	"jetsend/internal/xmltree"
)

// announcer is a device that counts how often its place in the list is looked at.
type announcer struct {
	upkeep.Device
	looks int
}

func (a *announcer) KeepAnnounced(context.Context, omemo.PEP) (time.Duration, error) {
	a.looks++
	return 0, nil
}

// TestConnectionTold: after every loss it is told that the connection is back,
// resumed or not, and what may have been lost with it.
func TestConnectionTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var device announcer
		e := unconnected()
		e.upkeep = upkeep.New(e.sess, &device, e.log)
		searches := 0
		e.routes = route.NewFinder(route.Config{Account: searching{e.sess, &searches}, S5B: &e.cfg.S5B})
		e.routes.Start()
		defer e.routes.Close()
		e.cfg.Report = func(ev event.Event) {
			switch ev := ev.(type) {
			case event.Warning:
				told = append(told, ev.Text)
			case event.Online:
				told = append(told, "online as "+ev.JID)
			}
		}
		e.upkeep.Begin(t.Context())
		defer e.upkeep.Close()
		after := func(s session.State) string {
			t.Helper()
			told, device.looks = nil, 0
			e.connection(s)
			synctest.Wait()
			return strings.Join(told, "; ")
		}
		if got := after(session.State{Up: true, Fresh: true}); got != "" || device.looks != 0 {
			t.Errorf("before the device is announced: %q, %d looks", got, device.looks)
		}
		e.announced.Store(true)
		lost := session.State{Err: errors.New("cut\x1b[2J"), RetryIn: 1234 * time.Millisecond}
		if got := after(lost); got != "connection to the server: cut\ufffd[2J; next try in 1.2s" {
			t.Errorf("lost: %q", got)
		}
		if got := after(session.State{Up: true}); got != "online as juliet@jet.test" || device.looks != 0 || e.back.Load() != nil {
			t.Errorf("resumed: %q, %d looks", got, device.looks)
		}
		got := after(session.State{Up: true, Fresh: true, Unacked: 3})
		if want := "took 3 stanzas with it that may not have arrived; online as juliet@jet.test"; !strings.HasSuffix(got, want) || device.looks != 1 || e.back.Load() == nil {
			t.Errorf("anew: %q, %d looks", got, device.looks)
		}
		if searches != 2 {
			t.Errorf("%d searches for proxies, and one more is due after a new login", searches)
		}
	})
}

// searching is an account that counts the questions to the server for its proxies, and has no
// answer to any.
type searching struct {
	Account
	n *int
}

func (a searching) IQ(_ context.Context, _ jid.JID, _ stanza.IQType, x *xmltree.Element) (*xmltree.Element, error) {
	if x.Name.Space == "http://jabber.org/protocol/disco#items" {
		*a.n++
	}
	return nil, errors.New("away")
}
