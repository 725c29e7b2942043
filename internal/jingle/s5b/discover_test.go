package s5b

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// answers is a Port that answers by address and name space of the question.
// A question that it does not know gets an error; "hang" is no answer.
type answers struct {
	text map[string]string

	mu       sync.Mutex
	asked    []string
	now, max int
	slow     time.Duration // of every answer, so that they overlap
}

func (a *answers) IQ(ctx context.Context, to jid.JID, typ stanza.IQType, q *xmltree.Element) (*xmltree.Element, error) {
	key := to.String() + " " + q.Name.Space[strings.LastIndexAny(q.Name.Space, "/#")+1:]
	a.mu.Lock()
	a.asked = append(a.asked, key)
	a.now++
	a.max = max(a.max, a.now)
	a.mu.Unlock()
	time.Sleep(a.slow)
	defer func() {
		a.mu.Lock()
		a.now--
		a.mu.Unlock()
	}()
	text, ok := a.text[key]
	switch {
	case typ != stanza.Get || q.Name.Local != "query" || !ok:
		return nil, stanza.NewError("service-unavailable")
	case text == "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case text == "":
		return nil, nil
	case strings.HasPrefix(text, "<query"):
		return xmltree.Parse([]byte(text))
	}
	return xmltree.Parse([]byte("<query xmlns='" + q.Name.Space + "'>" + text + "</query>"))
}

const isOne = "<identity category='proxy' type='bytestreams' name='Relay'/><feature var='http://jabber.org/protocol/bytestreams'/>"

// discoServer has every kind of component.
func discoServer() *answers {
	return &answers{text: map[string]string{
		"montague.lit items": "<item jid='chat.montague.lit'/><item jid='proxy.montague.lit' name='Relay'/><item jid='montague.lit'/><item jid='a@@b'/><item/>" +
			"<item jid='down.montague.lit'/><item jid='proxy.montague.lit'/><item jid='node.montague.lit' node='x'/><item jid='empty.montague.lit'/>" +
			"<item jid='shy.montague.lit'/><item jid='odd.montague.lit'/><item jid='six.montague.lit'/>",
		"chat.montague.lit info":         "<identity category='conference' type='text'/>",
		"chat.montague.lit bytestreams":  "<streamhost jid='chat.montague.lit' host='192.0.2.99' port='1'/>",
		"proxy.montague.lit info":        isOne,
		"proxy.montague.lit bytestreams": "<streamhost jid='proxy.montague.lit' host='192.0.2.1' port='7625'/><streamhost jid='proxy.montague.lit' host='2001:db8::1' port='7625'/>",
		"empty.montague.lit info":        "",
		"shy.montague.lit info":          isOne, // and refuses its address
		"odd.montague.lit info":          isOne,
		"odd.montague.lit bytestreams":   "<query xmlns='urn:x'/>",
		"six.montague.lit info":          "<identity category='component' type='x'/>" + isOne,
		"six.montague.lit bytestreams":   "<streamhost host='relay.montague.lit'/><streamhost host='0.0.0.0' port='7'/><streamhost host='192.0.2.3' port='0'/>",
		"extra.example.org bytestreams":  "<streamhost jid='extra.example.org' host='127.0.0.1' port='5'/>",
	}}
}

func TestFindProxies(t *testing.T) {
	server := jid.MustParse("montague.lit")
	at := func(j, host string, port int, configured bool) Proxy {
		return Proxy{JID: jid.MustParse(j), Host: host, Port: port, Configured: configured}
	}
	discovered := []Proxy{
		at("proxy.montague.lit", "192.0.2.1", 7625, false), at("proxy.montague.lit", "2001:db8::1", 7625, false),
		at("six.montague.lit", "relay.montague.lit", 1080, false),
	}
	extra := at("extra.example.org", "127.0.0.1", 5, true)
	given := at("given.example.org", "198.51.100.1", 99, true)
	for _, tt := range []struct {
		name       string
		configured []string
		server     jid.JID
		want       []Proxy
		err        bool
	}{
		{"discovered", nil, server, discovered, false},
		{"beside", []string{"extra.example.org", "given.example.org=198.51.100.1:99"}, server, append([]Proxy{extra, given}, discovered...), false},
		{"instead", []string{"none", "given.example.org=198.51.100.1:99"}, server, []Proxy{given}, false},
		{"neither", []string{"none"}, server, nil, false},
		{"no server", []string{"extra.example.org"}, jid.JID{}, []Proxy{extra}, false},
		{"configured does not answer", []string{"down.example.org"}, server, discovered, false},
		{"configured and discovered", []string{"proxy.montague.lit=[2001:db8::1]:7625"}, server, []Proxy{
			at("proxy.montague.lit", "2001:db8::1", 7625, true), discovered[0], discovered[2],
		}, false},
		{"server does not answer", []string{"extra.example.org"}, jid.MustParse("capulet.lit"), []Proxy{extra}, true},
		{"malformed", []string{"extra.example.org", "given.example.org=198.51.100.1"}, server, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FindProxies(t.Context(), discoServer(), tt.server, tt.configured, nil)
			if !slices.Equal(got, tt.want) || (err != nil) != tt.err {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// A service that never answers costs a bounded time, and does not hide the others.
func TestFindProxiesTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := discoServer()
		a.text["chat.montague.lit info"], a.text["six.montague.lit bytestreams"] = "hang", "hang"
		begun := time.Now()
		got, err := FindProxies(t.Context(), a, jid.MustParse("montague.lit"), nil, nil)
		if err != nil || len(got) != 2 || got[1].Host != "2001:db8::1" {
			t.Errorf("%v, %v", got, err)
		}
		if d := time.Since(begun); d != askTimeout {
			t.Errorf("took %s", d)
		}

		for i := range maxItems {
			j := fmt.Sprintf("p%d.montague.lit", i)
			a.text["montague.lit items"] += "<item jid='" + j + "'/>"
			a.text[j+" info"] = "hang"
		}
		begun = time.Now()
		if got, err := FindProxies(t.Context(), a, jid.MustParse("montague.lit"), nil, nil); err != nil || len(got) != 2 {
			t.Errorf("%v, %v", got, err)
		}
		if d := time.Since(begun); d != discoverTimeout {
			t.Errorf("took %s", d)
		}
	})
}

func TestFindProxiesEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := discoServer()
		a.text["proxy.montague.lit info"] = "hang"
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("stream lost")
		time.AfterFunc(time.Second, func() { cancel(gone) })
		if _, err := FindProxies(ctx, a, jid.MustParse("montague.lit"), nil, nil); !errors.Is(err, gone) {
			t.Error(err)
		}
	})
}

// A server with many components costs a bounded number of questions, few at a time.
func TestFindProxiesBounds(t *testing.T) {
	synctest.Test(t, testFindProxiesBounds)
}

func testFindProxiesBounds(t *testing.T) {
	a := &answers{text: map[string]string{}, slow: time.Millisecond}
	var items, hosts strings.Builder
	for i := range 2 * maxItems {
		j := fmt.Sprintf("p%d.montague.lit", i)
		fmt.Fprintf(&items, "<item jid='%s'/>", j)
		a.text[j+" info"] = isOne
		hosts.Reset()
		for k := range 2 * maxStreamhosts {
			fmt.Fprintf(&hosts, "<streamhost jid='%s' host='192.0.2.%d' port='%d'/>", j, k+1, 1000+i)
		}
		a.text[j+" bytestreams"] = hosts.String()
	}
	a.text["montague.lit items"] = items.String()
	got, err := FindProxies(t.Context(), a, jid.MustParse("montague.lit"), nil, nil)
	if err != nil || len(got) != maxFound || got[maxStreamhosts-1].Host != "192.0.2.4" || got[maxStreamhosts].JID.String() != "p1.montague.lit" {
		t.Errorf("%v, %v", got, err)
	}
	if len(a.asked) != 1+2*maxItems || a.max != maxAsked {
		t.Errorf("%d questions, %d at a time", len(a.asked), a.max)
	}
}

func TestCheckProxies(t *testing.T) {
	for s, ok := range map[string]bool{
		"none": true, "proxy.example.org": true, "proxy.example.org=relay.example.org:7777": true, "proxy.example.org=[::1]:7777": true,
		"proxy.example.org=127.0.0.1:1": true, "user@example.org/x": true,
		"": false, "=127.0.0.1:1": false, "proxy.example.org=": false, "proxy.example.org=127.0.0.1": false, "proxy.example.org=:1": false,
		"proxy.example.org=127.0.0.1:0": false, "proxy.example.org=127.0.0.1:65536": false, "proxy.example.org=0.0.0.0:1": false,
		"proxy.example.org=a b:1": false, "proxy.example.org=[fe80::1%lo]:1": false, "proxy.example.org=::1:1": false, "a@@b": false,
	} {
		if err := CheckProxies([]string{s}); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// The addresses that are taken from a proxy's answer can be offered to a peer as they are.
func FuzzStreamhosts(f *testing.F) {
	for _, s := range []string{
		"<streamhost jid='proxy.montague.lit' host='192.0.2.1' port='7625'/>", "<streamhost host=' ::1 '/>",
		"<streamhost jid='a@b/c' host='relay.montague.lit' port='0'/><streamhost host='::ffff:0.0.0.0' port='1'/>",
		"<streamhost host='fe80::1%lo' port='65536'/><s:streamhost xmlns:s='urn:x' host='a' port='1'/>", "<streamhost zeroconf='_jabber.bytestreams'/>",
	} {
		f.Add(s)
	}
	proxy := jid.MustParse("proxy.montague.lit")
	f.Fuzz(func(t *testing.T, inner string) {
		e, err := xmltree.Parse([]byte("<query xmlns='" + NSBytestreams + "'>" + inner + "</query>"))
		if err != nil {
			return
		}
		found := parseStreamhosts(e, proxy)
		if len(found) > maxStreamhosts {
			t.Errorf("%d addresses", len(found))
		}
		for _, p := range found {
			c := Candidate{CID: "c", Host: p.Host, Port: p.Port, JID: p.JID.String(), Priority: 1, Type: Mediated}
			back, err := xmltree.Parse(c.Element().Bytes())
			if err != nil {
				t.Fatalf("%v: %v", p, err)
			}
			if got, ok := parseCandidate(back); !ok || got != c {
				t.Errorf("%v became %v", c, got)
			}
			if a, err := netip.ParseAddr(p.Host); err == nil && (a.Unmap().IsUnspecified() || a.Unmap().IsMulticast()) {
				t.Errorf("took %v", p)
			}
		}
	})
}
