package transfer

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// useProxies has an endpoint search its proxies anew.
func useProxies(t *testing.T, e *Endpoint, cfg route.S5BConfig) {
	t.Helper()
	e.routes.Close()
	e.cfg.S5B = cfg
	e.routes = e.newFinder()
	e.routes.Start()
	e.routes.Proxies(t.Context()) // waits for them
}

// TestRoutes: every path and both forms between two jetsends.
func TestRoutes(t *testing.T) {
	s := prosody(t)
	dir := t.TempDir()
	var in, out events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, out.report)
	data := make([]byte, 100_001)
	_, _ = rand.Read(data)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := route.S5BConfig{Advertise: []string{"127.0.0.1:1"}, Proxies: []string{s5b.NoDiscovery}}
	proxied := route.S5BConfig{Advertise: []string{"127.0.0.1:1"}}
	for name, tt := range map[string]struct {
		sender, receiver   route.Options
		romeo, juliet      route.S5BConfig
		encryption         dialect.Choice
		transport, encWant string
		candidate, cipher  string
		code               exitcode.Code
	}{
		"direct":               {transport: route.S5B, candidate: "direct", cipher: "aes-256-gcm"},
		"direct, jet":          {transport: route.S5B, candidate: "direct", cipher: "aes-128-gcm", encryption: dialect.ChooseJET},
		"only ours":            {transport: route.S5B, candidate: "direct", cipher: "aes-256-gcm", juliet: nowhere},
		"only theirs":          {transport: route.S5B, candidate: "direct", cipher: "aes-256-gcm", romeo: nowhere},
		"in-band at once":      {transport: route.IBB, cipher: "aes-256-gcm", sender: route.Options{Transports: []string{route.IBB}}},
		"in-band at once, jet": {transport: route.IBB, cipher: "aes-128-gcm", sender: route.Options{Transports: []string{route.IBB}}, encryption: dialect.ChooseJET},
		"proxy":                {transport: route.S5B, candidate: "proxy", cipher: "aes-256-gcm", romeo: proxied, juliet: nowhere},
		"proxy, jet":           {transport: route.S5B, candidate: "proxy", cipher: "aes-128-gcm", romeo: proxied, juliet: nowhere, encryption: dialect.ChooseJET},
		"their proxy":          {transport: route.S5B, candidate: "proxy", cipher: "aes-256-gcm", romeo: nowhere, juliet: proxied},
		"fall back":            {transport: route.IBB, cipher: "aes-256-gcm", romeo: nowhere, juliet: nowhere},
		"sender no direct":     {transport: route.S5B, candidate: "proxy", cipher: "aes-256-gcm", sender: route.Options{NoDirect: true}},
		"receiver no direct":   {transport: route.S5B, candidate: "proxy", cipher: "aes-256-gcm", receiver: route.Options{NoDirect: true}},
		"no direct, in-band":   {transport: route.IBB, cipher: "aes-256-gcm", sender: route.Options{NoDirect: true}, romeo: nowhere, juliet: nowhere},
		"to in-band alone":     {transport: route.IBB, cipher: "aes-256-gcm", receiver: route.Options{Transports: []string{route.IBB}}},
		"to in-band alone, 7":  {code: exitcode.Incapable, sender: route.Options{Transports: []string{route.S5B}}, receiver: route.Options{Transports: []string{route.IBB}}},
		"no common transport":  {code: exitcode.Incapable, sender: route.Options{Transports: []string{route.IBB}}, receiver: route.Options{Transports: []string{route.S5B}}},
		"nothing reached":      {code: exitcode.Interrupted, sender: route.Options{Transports: []string{route.S5B}}, romeo: nowhere, juliet: nowhere},
		"fall back refused":    {code: exitcode.Interrupted, receiver: route.Options{Transports: []string{route.S5B}}, romeo: nowhere, juliet: nowhere},
	} {
		t.Run(name, func(t *testing.T) {
			in.reset()
			out.reset()
			useProxies(t, romeo, tt.romeo)
			useProxies(t, juliet, tt.juliet)
			stop := make(chan struct{})
			received := make(chan error, 1)
			go func() {
				received <- juliet.Receive(t.Context(), ReceiveOptions{Dir: dir, Accept: policy.Contacts, Drain: 10 * time.Second, Stop: stop, Route: tt.receiver})
			}()
			takesOffers(t, juliet)
			eventually(t, func() bool { // what the run before could do is forgotten
				info, err := romeo.sess.DiscoInfo(t.Context(), juliet.JID(), "")
				takes := tt.receiver.Order()
				return err == nil && info.Has(s5b.NS) == slices.Contains(takes, route.S5B) && info.Has(ibb.NSTransport) == slices.Contains(takes, route.IBB)
			})
			err := romeo.Send(t.Context(), SendOptions{
				To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: path}}, Wait: time.Minute, Route: tt.sender, Encryption: tt.encryption,
			})
			close(stop)
			if rerr := <-received; rerr != nil {
				t.Error(rerr)
			}
			var f *fault.Failure
			errors.As(err, &f)
			if tt.code != 0 {
				failed, _ := last[event.Failed](&out)
				if f == nil || f.Code != tt.code {
					t.Errorf("%v (%+v), want code %d", err, failed, tt.code)
				}
				if names := list(t, dir); len(names) > 0 {
					t.Errorf("received %v", names)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(dir, "f"))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("received %d bytes: %v", len(got), err)
			}
			_ = os.Remove(filepath.Join(dir, "f"))
			for who, e := range map[string]*events{"sender": &out, "receiver": &in} {
				n, _ := last[event.Negotiated](e)
				if n.Transport != tt.transport || n.Candidate != tt.candidate || n.Cipher != tt.cipher || n.Encryption != "jet" {
					t.Errorf("%s: %+v", who, n)
				}
			}
			if sent, _ := last[event.Sent](&out); sent.VerifiedByPeer != (tt.encryption != dialect.ChooseJET) {
				t.Errorf("%+v", sent)
			}
		})
	}
}

// TestOnePort: the port that a firewall lets through serves a file while another one
// waits at it.
func TestOnePort(t *testing.T) {
	st := setStage(t, 100_000)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	another := xmltree.New(s5b.NS, "transport").Set("sid", "another")
	waiting, err := st.juliet.routes.Answer(t.Context(), route.Peer{JID: st.romeo.sess.JID()}, route.Options{}, another)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if err := st.send(t, RetryOptions{}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	if n, _ := last[event.Negotiated](&st.out); n.Candidate != "direct" || st.relay.Connections() == 0 {
		t.Errorf("%+v", n)
	}
}

// TestFeaturesFollow: a receiver says which transports it allows, also when a reload
// changes that. A sender that offers SOCKS5 all the same to one that takes in-band alone
// is answered without a candidate, and its transport-replace is accepted.
func TestFeaturesFollow(t *testing.T) {
	s := prosody(t)
	var stale atomic.Bool // what romeo sees of juliet's features
	tap := xmpptest.StartTap(t, s, func(dir xmpptest.Direction, raw []byte) [][]byte {
		x, err := xmltree.Parse(raw)
		if err != nil || dir != xmpptest.ToClient || !stale.Load() {
			return [][]byte{raw}
		}
		q := x.Child("http://jabber.org/protocol/disco#info", "query")
		if q == nil || !strings.HasPrefix(x.Attr("from"), "juliet") {
			return [][]byte{raw}
		}
		q.Add(xmltree.New(q.Name.Space, "feature").Set("var", s5b.NS)) // fits no hash: it is asked for each time
		return [][]byte{x.Append(nil, "")}
	})
	var in, out events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, tap.Addr, "romeo", false, out.report)
	changes := make(chan Change)
	opt := ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts, Route: route.Options{Transports: []string{route.IBB}}, Changes: changes}
	receiving(t, juliet, opt)
	stale.Store(true)
	err := romeo.Send(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "text")}}, Wait: time.Minute})
	if n, _ := last[event.Negotiated](&out); err != nil || n.Transport != route.IBB {
		t.Fatalf("%+v: %v", n, err)
	}
	accepts := 0
	for _, st := range tap.Stanzas() {
		x, err := xmltree.Parse(st.Raw)
		if j := x.Child(jingle.NS, "jingle"); err == nil && j.Attr("action") == "session-accept" {
			accepts++
			if tr := j.Child(jingle.NS, "content").Child(s5b.NS, "transport"); tr == nil || len(tr.Children) > 0 {
				t.Errorf("accepted with %s", x)
			}
		}
	}
	if accepts != 1 {
		t.Errorf("accepted %d times", accepts)
	}
	stale.Store(false)
	says := func(want string) {
		t.Helper()
		eventually(t, func() bool {
			peers, err := romeo.choose(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute})
			return err == nil && slices.Equal(peers[0].Transports, []string{want})
		})
	}
	says(route.IBB)
	applied := make(chan struct{})
	opt.Route.Transports = []string{route.S5B}
	changes <- Change{opt, applied}
	<-applied
	says(route.S5B)
}
