package route

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/jingle/s5b"
)

// TestProxiesFoundLater: a search that failed is made again, and so is one before a
// new login. Until another one goes well, what was found stays.
func TestProxiesFoundLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		results := []struct {
			ports []int
			err   error
		}{{nil, errors.New("away")}, {[]int{1}, nil}, {nil, errors.New("away")}, {[]int{2}, nil}}
		var n atomic.Int32
		p := newProxies(func(context.Context) (found surroundings, err error) {
			r := results[n.Add(1)-1]
			for _, port := range r.ports {
				found.proxies = append(found.proxies, s5b.Proxy{Port: port})
			}
			return found, r.err
		})
		go p.find(ctx)
		f := &Finder{proxies: p}
		shows := func(searches int, ports ...int) {
			t.Helper()
			synctest.Wait()
			var got []int
			for _, o := range f.Proxies(ctx) {
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
		f.SearchAgain()
		shows(3, 1)
		time.Sleep(proxyPause)
		shows(4, 2)
		cancel()
	})
}

// learnt is what a state file would keep.
type learnt map[string][]byte

func (l learnt) Get(_ context.Context, name string, _ time.Duration) ([]byte, bool) {
	v, ok := l[name]
	return v, ok
}

func (l learnt) Put(_ context.Context, name string, value []byte) { l[name] = value }

// TestSurroundingsKnown: what a login found is what the next one begins with, but for where
// we were seen, which may be another network; a search of its own is what is shown.
func TestSurroundingsKnown(t *testing.T) {
	a := &account{self: romeo}
	known := learnt{}
	finder := func(cfg S5BConfig) *Finder {
		return NewFinder(Config{Account: a, S5B: &cfg, Known: known})
	}
	server := jid.MustParse("proxy.montague.lit")
	found := surroundings{
		proxies: []s5b.Proxy{{JID: server, Host: "192.0.2.1", Port: 7777}}, stun: []string{"192.0.2.2:3478"},
		seen: netip.MustParseAddr("192.0.2.3"), large: true,
	}
	finder(S5BConfig{}).keep(t.Context(), found)
	got, ok := finder(S5BConfig{}).known(t.Context())
	if !ok || !slices.Equal(got.proxies, found.proxies) || !slices.Equal(got.stun, found.stun) || !got.large || got.seen.IsValid() {
		t.Errorf("%+v", got)
	}
	if _, ok := finder(S5BConfig{Proxies: []string{"none"}}).known(t.Context()); ok {
		t.Error("of another configuration")
	}
	for name := range known {
		known[name] = []byte(`{"Proxies":[{"JID":"@"}]}`)
	}
	if _, ok := finder(S5BConfig{}).known(t.Context()); ok {
		t.Error("damaged")
	}

	p := newProxies(func(context.Context) (surroundings, error) { return surroundings{}, nil })
	p.before = func(context.Context) (surroundings, bool) { return found, true }
	if !p.begin(t.Context()) || len(p.known(t.Context()).proxies) != 1 {
		t.Error("not used before the search")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if len(p.fresh(ctx).proxies) != 0 {
		t.Error("shown as found")
	}
}
