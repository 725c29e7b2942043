package transfer

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"jetsend/internal/conversation"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// spied is one session as the test sees it: its secret, the part of the file that
// was agreed on, and where its bytes begin on the wire.
type spied struct {
	secret []byte // key and IV
	offset int64
	from   int64
}

// spy takes note of the sessions of a transfer. Events are reported on the
// goroutine of the transfer, which may look into it then.
type spy struct {
	mu     sync.Mutex
	secret func() []byte
	wire   func() int64
	all    []spied
}

func (s *spy) report(ev event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch ev := ev.(type) {
	case event.Accepted: // no path stands yet
		s.all = append(s.all, spied{secret: s.secret(), from: s.wire()})
	case event.Resumed:
		s.all[len(s.all)-1].offset = ev.Offset
	}
}

// TestFreshSecrets: over many sessions for one file, opened from either end, cut
// or not, no secret comes twice, and each session's bytes on the wire are its part
// of the file, encrypted from block 0 of its own secret.
func TestFreshSecrets(t *testing.T) {
	const limit = 40_003
	st := setStage(t, 30*limit, xmpptest.CutAt(3*limit/4))
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	st.romeo.cfg.SessionLimit, st.juliet.cfg.SessionLimit = limit, limit
	look := &spy{wire: func() int64 { return carried(st.relay) }}
	var wire []byte
	next := func(faults ...xmpptest.Fault) {
		c := st.relay.Carried()
		wire = append(wire, c.Up...)
		wire = append(wire, c.Down...)
		base := int64(len(wire))
		st.through(t, faults...)
		look.mu.Lock()
		look.wire = func() int64 { return base + carried(st.relay) }
		look.mu.Unlock()
	}

	// The sender's sessions: every one is cut, until parts of a session go through.
	st.out.tell(look.report)
	opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute, AnswerTimeout: time.Minute, Route: route.Options{Transports: []string{route.S5B}}}
	peers, err := st.romeo.choose(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	id := ""
	send := func() exitcode.Code {
		src, err := source.Open(t.Context(), source.Named{Path: st.path})
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close(src)
		o := st.romeo.offering(opt, src, nil)
		look.secret = func() []byte { return o.talk.Dialect.Secret().Serialize() }
		defer func() { id = o.head.Transfer }()
		return o.start(t.Context(), peers, id)
	}
	for range 3 {
		if code := send(); code != exitcode.Interrupted {
			t.Fatalf("code %d", code)
		}
		waitIdle(t, st.juliet)
	}
	next(xmpptest.CutAt(limit + 16 + 100)) // never reached: connections are counted one by one
	st.relay.Cut()
	// The receiver's requests, one session each.
	stop()
	st.in.tell(look.report)
	st.out.tell(nil)
	key := journal.Key{ID: id, Direction: journal.Receive}
	for n := 0; ; n++ {
		row, err := st.juliet.journal.Load(t.Context(), key)
		if err != nil || n > 60 {
			t.Fatal(n, err)
		}
		if n == 8 {
			next(xmpptest.CutAt(limit / 2))
		}
		if n == 10 {
			next()
		}
		if row.Released {
			break
		}
		to, err := st.juliet.servants(t.Context(), row.Peer, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var talk *conversation.Conversation
		look.secret = func() []byte { return talk.Dialect.Secret().Serialize() }
		cut := n >= 8 && n < 10
		if err := request1(t.Context(), st.juliet, row, to[0], opt.Route, func(c *conversation.Conversation) { talk = c }); (err != nil) != cut {
			t.Fatalf("request %d: %v", n, err)
		}
		waitIdle(t, st.romeo)
	}
	next()
	st.whole(t)
	if len(look.all) < 30 {
		t.Fatalf("only %d sessions", len(look.all))
	}
	seen := map[string]bool{}
	for i, s := range look.all {
		if len(s.secret) != profile.SecretSize || seen[string(s.secret)] || seen[string(s.secret[:32])] || seen[string(s.secret[32:])] {
			t.Fatalf("session %d: a secret came twice", i)
		}
		seen[string(s.secret)], seen[string(s.secret[:32])], seen[string(s.secret[32:])] = true, true, true
		end := int64(len(wire))
		if i+1 < len(look.all) {
			end = look.all[i+1].from
		}
		if err := ownBlockZero(s, wire[s.from:end], st.data[s.offset:]); err != nil {
			t.Errorf("session %d from byte %d: %v", i, s.offset, err)
		}
	}
}

// ownBlockZero decrypts what a session had on the wire. When all of it is there it
// is authenticated as well.
func ownBlockZero(s spied, wire, want []byte) error {
	block, err := aes.NewCipher(s.secret[:32])
	if err != nil {
		return err
	}
	if len(wire) == 0 {
		return fmt.Errorf("no bytes on the wire")
	}
	// SP 800-38D section 7.1: the first block is encrypted with inc32(J0), and J0
	// of an IV of 12 bytes is the IV and a counter of 1.
	counter := binary.BigEndian.AppendUint32(append([]byte(nil), s.secret[32:]...), 2)
	n := min(len(wire), len(want), 40_003)
	plain := make([]byte, n)
	cipher.NewCTR(block, counter).XORKeyStream(plain, wire[:n])
	if !bytes.Equal(plain, want[:n]) {
		return fmt.Errorf("other bytes than those of the file")
	}
	if len(wire) < n+16 {
		return nil // cut
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	_, err = gcm.Open(nil, s.secret[32:], wire[:n+16], nil)
	return err
}
