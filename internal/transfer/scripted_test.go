package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/conversation"
	"jetsend/internal/crypto"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/route"
	"jetsend/internal/stanza"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// scripted is a receiver that is no jetsend and keeps to a script: juliet, in a
// session that she has accepted.
type scripted struct {
	t    *testing.T
	m    *jingle.Manager
	sess *jingle.Session
	lost chan struct{} // the sender's stream to its server

	// block is what she does with an in-band block, of which last is the one with the
	// end of the file.
	block func(p *scripted, last bool, answered func(error))
	// hears is what she does with an action of ours; nil: nothing but acknowledge it.
	hears func(p *scripted, a jingle.Action, x *xmltree.Element)
	// begun is called when the file begins to flow; nil: nobody is told.
	begun func()
	size  int // bytes on the path that are all of the file
	// tagHold is how long the tag is held back from her.
	tagHold time.Duration

	mu          sync.Mutex
	blocks, got int
	held        []func(error) // answers that she owes
	close       error         // her answer to <close/>
}

func newScripted(t *testing.T, size int, transport *xmltree.Element) *scripted {
	t.Helper()
	p := &scripted{t: t, lost: make(chan struct{}), size: size}
	p.m = jingle.NewManager(jingle.Config{Port: p, Self: func() jid.JID { return replayRomeo }})
	c := jingle.Content{
		Creator: jingle.SenderInitiator, Name: dialect.ContentName, Senders: jingle.SenderInitiator,
		Description: jingle.Description(&jingle.File{Size: int64(size)}), Transport: transport,
	}
	var err error
	if p.sess, err = p.m.Initiate(t.Context(), replayJuliet, replaySID, c); err != nil {
		t.Fatal(err)
	}
	p.says(jingle.SessionAccept, c.Element())
	<-p.sess.Events()
	return p
}

// IQ acknowledges an action of ours.
func (p *scripted) IQ(_ context.Context, _ jid.JID, _ stanza.IQType, x *xmltree.Element) (*xmltree.Element, error) {
	if p.hears != nil {
		p.hears(p, jingle.Action(x.Attr("action")), x)
	}
	return nil, nil
}

// says is an action of hers.
func (p *scripted) says(a jingle.Action, child *xmltree.Element) {
	x := xmltree.New(jingle.NS, "jingle", child).Set("action", string(a)).Set("sid", replaySID)
	if _, err := p.m.HandleIQ(context.Background(), stanza.IQ{From: replayJuliet, To: replayRomeo, ID: "s", Type: stanza.Set, Payload: x}); err != nil {
		p.t.Errorf("%s: %v", a, err)
	}
}

// ends is her end of the session; with success she says <received/> first, as
// Conversations does.
func (p *scripted) ends(condition string) {
	if condition == jingle.Success {
		p.says(jingle.SessionInfo, xmltree.New(jingle.NSFile, "received").Set("name", dialect.ContentName))
	}
	p.says(jingle.SessionTerminate, jingle.Reason{Condition: condition}.Element())
}

// answer answers all that she owes.
func (p *scripted) answer(err error) {
	p.mu.Lock()
	held := p.held
	p.held = nil
	p.mu.Unlock()
	for _, f := range held {
		f(err)
	}
}

// hold owes an answer.
func (p *scripted) hold(answered func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = append(p.held, answered)
}

// BeginIQ is her answer to <open/> and <close/>.
func (p *scripted) BeginIQ(_ context.Context, _ jid.JID, payload *xmltree.Element, answered func(error)) (func(), error) {
	if payload.Name.Local == "close" {
		answered(p.close)
	} else {
		answered(nil)
	}
	return func() {}, nil
}

// BulkIQ is what she does with a block.
func (p *scripted) BulkIQ(_ context.Context, _ jid.JID, encode func([]byte, string) []byte, answered func(error)) (func(), error) {
	x, err := xmltree.Parse(encode(nil, "b"))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.got += len(unbase64(p.t, x.ChildText(ibb.NS, "data")))
	p.blocks++
	last := p.got == p.size
	p.mu.Unlock()
	p.block(p, last, answered)
	return func() {}, nil
}

// send sends a file of size bytes, less the tag, over path, as an offer in a form of
// other clients does it.
func (p *scripted) send(path *route.Path) error {
	c := talkIn(p.t, p.sess, dialect.FormJET)
	c.Path, c.Lost = path, p.lost
	defer c.Close()
	n := int64(p.size - crypto.TagSize)
	err := c.Step(conversation.Needs{Path: true}, func(ctx context.Context) error {
		if err := p.sess.BeginStream(); err != nil {
			return err
		}
		if p.begun != nil {
			p.begun()
		}
		err := stream.Out(ctx, path, bytes.NewReader(make([]byte, n)), n, crypto.NewSecret(crypto.AES128GCM), outgoingOver(path, func() error { return backoff.Wait(ctx, p.tagHold) }, new(stream.Rate), nil, meterFor(p.t)))
		if err == nil {
			err = c.EndStream(ctx)
		}
		return err
	})
	return conversation.Unacknowledged(path, err)
}

// TestAcknowledgedLate: Conversations says that it has the file before it has
// acknowledged the last in-band block. Then the acknowledgement has two seconds;
// without it nothing was sent.
func TestAcknowledgedLate(t *testing.T) {
	ack := func(p *scripted, _ bool, answered func(error)) { answered(nil) }
	// lastly acknowledges all blocks but the last, for which there is a script.
	lastly := func(do func(p *scripted, answered func(error))) func(*scripted, bool, func(error)) {
		return func(p *scripted, last bool, answered func(error)) {
			if !last {
				answered(nil)
				return
			}
			do(p, answered)
		}
	}
	success := func(after time.Duration, err error) func(*scripted, bool, func(error)) {
		return lastly(func(p *scripted, answered func(error)) {
			p.ends(jingle.Success)
			time.AfterFunc(after, func() { answered(err) })
		})
	}
	gone := stanza.NewError(stanza.ItemNotFound)
	for name, tt := range map[string]struct {
		script func(*scripted, bool, func(error))
		close  error
		after  time.Duration
		code   exitcode.Code
	}{
		"in order":                   {script: ack},
		"right after success":        {script: success(0, nil)},
		"a second after success":     {script: success(time.Second, nil), after: time.Second},
		"close answered by an error": {script: success(time.Second, nil), close: gone, after: time.Second},
		"too late":                   {script: success(route.LateAcks+time.Second, nil), after: route.LateAcks, code: exitcode.Integrity},
		"never":                      {script: lastly(func(p *scripted, _ func(error)) { p.ends(jingle.Success) }), after: route.LateAcks, code: exitcode.Integrity},
		"refused after success":      {script: success(time.Second, gone), after: time.Second, code: exitcode.Integrity},
		"a window of them": {script: func(p *scripted, last bool, answered func(error)) {
			p.mu.Lock()
			late := p.blocks > p.size/ibb.DefaultBlockSize-8
			p.mu.Unlock()
			switch {
			case !late:
				answered(nil)
			case last:
				p.ends(jingle.Success)
				p.hold(answered)
				time.AfterFunc(time.Second, func() { p.answer(nil) })
			default:
				p.hold(answered)
			}
		}, after: time.Second},
		"success in the middle": {script: func(p *scripted, _ bool, answered func(error)) {
			p.mu.Lock()
			now := p.blocks == 3
			p.mu.Unlock()
			if now {
				p.ends(jingle.Success)
			}
			p.hold(answered)
		}, code: exitcode.Integrity},
		"cancelled at the last block": {script: lastly(func(p *scripted, answered func(error)) {
			p.ends(jingle.Cancel)
			time.AfterFunc(time.Second, func() { answered(nil) })
		}), code: exitcode.Declined},
		"our stream lost in between": {script: lastly(func(p *scripted, _ func(error)) {
			p.ends(jingle.Success)
			time.AfterFunc(time.Second, func() { close(p.lost) })
		}), after: time.Second, code: exitcode.Interrupted},
	} {
		for _, size := range []int{crypto.TagSize, 1 + crypto.TagSize, 300_000} {
			if size < 300_000 && (name == "a window of them" || name == "success in the middle") {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				p := newScripted(t, size, ibb.NewTransport(0).Element())
				p.block, p.close = tt.script, tt.close
				mgr := ibb.NewManager(ibb.Config{Port: p})
				conn, err := mgr.Open(t.Context(), ibb.Params{Peer: replayJuliet, Transport: ibb.Transport{SID: "s"}})
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				err = p.send(route.Inband(conn))
				if took := time.Since(begun); took != tt.after {
					t.Errorf("%s, %d bytes: took %v, want %v", name, size, took, tt.after)
				}
				if code := exitcode.OK; err != nil || tt.code != code {
					if err != nil {
						code = fault.New(err, true).Code
					}
					if code != tt.code {
						t.Errorf("%s, %d bytes: code %d, %v", name, size, code, err)
					}
				}
				mgr.Close()
				time.Sleep(2 * route.LateAcks) // for the scripts to end
			})
		}
	}
}

// TestSuccessOverSockets: over SOCKS5 nothing is acknowledged. A success that comes
// before the last byte is none, and what comes behind it counts, whatever has become of
// the socket by then.
func TestSuccessOverSockets(t *testing.T) {
	const size = 8 << 20 // far more than these sockets hold
	for name, tt := range map[string]struct {
		reads int64
		code  exitcode.Code
	}{"early": {size / 2, exitcode.Integrity}, "at the last byte": {size, exitcode.OK}} {
		t.Run(name, func(t *testing.T) {
			p := newScripted(t, size, xmltree.New(s5b.NS, "transport").Set("sid", "s"))
			a, b := pair(t)
			if err := errors.Join(a.SetWriteBuffer(64<<10), b.SetReadBuffer(64<<10)); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := io.CopyN(io.Discard, b, tt.reads)
				p.ends(jingle.Success)
				done <- errors.Join(err, b.Close())
			}()
			err := p.send(route.Socket(a, "direct", true))
			code := exitcode.OK
			if err != nil {
				code = fault.New(err, true).Code
			}
			if code != tt.code {
				t.Errorf("code %d: %v", code, err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWritesBack: nobody waits for the bytes that Dino writes back where none come.
func TestWritesBack(t *testing.T) {
	for f, want := range map[dialect.Form]bool{
		dialect.FormJET: true, dialect.FormDraft: true, dialect.FormJetsend: false, dialect.FormEncryptedFile: false, dialect.FormConversations: false, dialect.FormPlaintext: false,
	} {
		for _, c := range []dialect.Software{dialect.Dino, dialect.OtherClient, dialect.Libervia} {
			if got := f.WritesBack(c); got != want {
				t.Errorf("form %d, client %d: %t", f, c, got)
			}
		}
	}
	if dialect.FormJET.WritesBack(dialect.Conversations) {
		t.Error("Conversations writes nothing back")
	}
}

// TestInbandAcknowledgedLate is TestAcknowledgedLate with a server between, in each form
// that seals no receipt: the acknowledgement of the last block comes behind the end of
// the session.
func TestInbandAcknowledgedLate(t *testing.T) {
	for _, how := range []dialect.Choice{dialect.ChooseJET, dialect.ChooseEncryptedFile, dialect.ChoosePlaintext} {
		t.Run(string(how), func(t *testing.T) {
			st := newOrderStage(t)
			allow(t, st.juliet, func(o *ReceiveOptions) { o.InsecurePlaintext = true })
			blocks := map[string]bool{} // ids; under the lock of the stage
			var acks [][]byte           // kept back
			st.lie(func(dir xmpptest.Direction, said string, iq *xmltree.Element, raw []byte) [][]byte {
				switch {
				case dir == xmpptest.ToServer && iq.Child(ibb.NS, "data") != nil:
					blocks[iq.Attr("id")] = true
				case dir == xmpptest.ToClient && blocks[iq.Attr("id")] && len(blocks) > len(st.data)/ibb.DefaultBlockSize:
					acks = append(acks, bytes.Clone(raw))
					return nil
				case dir == xmpptest.ToClient && said == "session-terminate":
					return append([][]byte{raw}, acks...)
				}
				return [][]byte{raw}
			})
			if err := st.send(t, how, route.IBB); err != nil {
				t.Fatal(err)
			}
			if len(acks) == 0 {
				t.Error("no acknowledgement came late")
			}
			st.once(t)
			if s, _ := last[event.Sent](&st.out); s.VerifiedByPeer {
				t.Errorf("%+v", s)
			}
		})
	}
}
