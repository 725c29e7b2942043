package transfer

import (
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/event"
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

// TestReplaceToInitiator: a transport-replace in the name of the responder, which Dino
// and Psi send and a server can forge, is rejected, and the file goes its way. So
// it is when no candidate is reached, and our own proposal follows.
func TestReplaceToInitiator(t *testing.T) {
	s := prosody(t)
	var rejected atomic.Int32
	tap := xmpptest.StartTap(t, s, func(dir xmpptest.Direction, raw []byte) [][]byte {
		iq, err := xmltree.Parse(raw)
		if err != nil {
			return [][]byte{raw}
		}
		j := iq.Child(jingle.NS, "jingle")
		switch {
		case dir == xmpptest.ToServer && j.Attr("action") == "transport-reject":
			rejected.Add(1)
		case dir == xmpptest.ToClient && j.Attr("action") == "session-accept":
			j.Set("action", "transport-replace")
			j.Child(jingle.NS, "content").Children = []*xmltree.Element{ibb.NewTransport(4096).Element()}
			return [][]byte{raw, iq.Set("id", "forged").Append(nil, "")}
		}
		return [][]byte{raw}
	})
	var in, out events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, tap.Addr, "romeo", false, out.report)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	nowhere := route.S5BConfig{Advertise: []string{"127.0.0.1:1"}, Proxies: []string{s5b.NoDiscovery}}
	for want, cfg := range map[string]route.S5BConfig{route.S5B: {}, route.IBB: nowhere} {
		useProxies(t, romeo, cfg)
		useProxies(t, juliet, cfg)
		rejected.Store(0)
		err := romeo.Send(t.Context(), SendOptions{
			To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "text")}}, Wait: time.Minute, AnswerTimeout: time.Minute,
		})
		eventually(t, func() bool { return rejected.Load() > 0 }) // the file may be there before
		n, _ := last[event.Negotiated](&out)
		if err != nil || n.Transport != want || rejected.Load() != 1 || count[event.Interrupted](&out) > 0 {
			t.Errorf("%s: %v, by %s, %d rejected", want, err, n.Transport, rejected.Load())
		}
		waitIdle(t, juliet)
	}
	if got := count[event.Received](&in); got != 2 {
		t.Errorf("%d received", got)
	}
}
