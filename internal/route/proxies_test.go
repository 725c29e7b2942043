package route

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
