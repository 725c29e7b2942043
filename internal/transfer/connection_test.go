package transfer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/jingle/s5b"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/upkeep"
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
		e.proxies, e.upkeep = newProxies(), upkeep.New(e.sess, &device, e.log)
		e.cfg.Report = func(ev Event) {
			switch ev := ev.(type) {
			case Warning:
				told = append(told, ev.Text)
			case Online:
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
		if len(e.proxies.again) != 1 {
			t.Error("no search for proxies after a new login")
		}
	})
}

// TestProxiesFoundLater: a search that failed is made again, and so is one before a
// new login. Until another one goes well, what was found stays.
func TestProxiesFoundLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProxies()
		ctx, cancel := context.WithCancel(t.Context())
		results := []struct {
			ports []int
			err   error
		}{{nil, errors.New("away")}, {[]int{1}, nil}, {nil, errors.New("away")}, {[]int{2}, nil}}
		var n atomic.Int32
		go p.find(ctx, func(context.Context) (list []s5b.Proxy, err error) {
			r := results[n.Add(1)-1]
			for _, port := range r.ports {
				list = append(list, s5b.Proxy{Port: port})
			}
			return list, r.err
		})
		e := &Endpoint{proxies: p}
		shows := func(searches int, ports ...int) {
			t.Helper()
			synctest.Wait()
			var got []int
			for _, o := range e.ownProxies(ctx) {
				got = append(got, o.Port)
			}
			if int(n.Load()) != searches || !slices.Equal(got, ports) {
				t.Errorf("%v after %d searches, want %v after %d", got, n.Load(), ports, searches)
			}
		}
		shows(1)
		time.Sleep(proxyPause)
		shows(2, 1)
		time.Sleep(10 * proxyPause)
		shows(2, 1)
		p.search()
		shows(3, 1)
		time.Sleep(proxyPause)
		shows(4, 2)
		cancel()
	})
}
