package xmpptest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// idleConns is how many connections a siege holds open at once, more than a
	// listener should be willing to.
	idleConns = 64
	// idleLife is how long it holds each.
	idleLife = 500 * time.Millisecond
	// knockPause is how long it waits when nobody listens.
	knockPause = 5 * time.Millisecond
)

// Siege is a contact who means harm to one client: a stream of stanzas that have
// no good answer, as fast as the server takes them, and connections to a port
// that say nothing; or a [Flood].
type Siege struct {
	raw   *Raw
	stop  context.CancelFunc
	wg    sync.WaitGroup
	conns atomic.Int64
	errs  chan error
	next  func(n int) string // the n-th stanza
	rate  int                // of what is sent, in bytes a second; 0: as fast as it goes
}

// Besiege begins a siege of a full JID by an account that may write to it, and of
// addr, the host:port of its listener, "" for none. With the devices of both every
// fourth stanza is one of the floods. It lasts until [Siege.End].
func Besiege(ctx context.Context, s *Server, user, password, target, addr string, d Devices) (*Siege, error) {
	raw, err := LoginRaw(ctx, s, user, password, "siege")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	g := &Siege{raw: raw, stop: stop, errs: make(chan error, 1), next: func(n int) string {
		if f := Floods(); d != (Devices{}) && n%4 == 3 {
			return f[n/4%len(f)].Stanza(n, raw.JID, target, d)
		}
		return Garbage(n, target)
	}}
	g.wg.Go(func() { g.flood(ctx) })
	if addr != "" {
		for range idleConns {
			g.wg.Go(func() { g.knock(ctx, addr) })
		}
	}
	return g, nil
}

// Stanzas is how many were sent so far.
func (g *Siege) Stanzas() int64 { return g.raw.Sent() }

// End ends the siege. It returns how many stanzas and connections there were,
// and an error when it was given up before its time.
func (g *Siege) End() (stanzas, conns int64, err error) {
	g.stop()
	g.raw.Close()
	g.wg.Wait()
	select {
	case err = <-g.errs:
	default:
	}
	return g.raw.Sent(), g.conns.Load(), err
}

// flood sends garbage until ctx ends.
func (g *Siege) flood(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		text := g.next(n)
		if err := g.raw.Send(text); err != nil {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				g.errs <- err
			}
			return
		}
		g.pace(ctx, len(text))
	}
}

// knock keeps one connection open that says nothing, or half of a greeting.
func (g *Siege) knock(ctx context.Context, addr string) {
	d := net.Dialer{Timeout: time.Second}
	for ctx.Err() == nil {
		c, err := d.DialContext(ctx, "tcp", addr)
		pause := knockPause
		if err == nil {
			if g.conns.Add(1)%2 == 0 {
				_, _ = c.Write([]byte{5})
			}
			pause = idleLife
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		if c != nil {
			_ = c.Close()
		}
	}
}

// Garbage returns the n-th of an endless row of stanzas that a client must get
// over: they are well-formed, because a server lets nothing else pass.
func Garbage(n int, target string) string {
	id, noise := fmt.Sprintf("g%d", n), base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fmt.Sprint(n), 40)))
	iq := func(kind, payload string) string {
		return fmt.Sprintf("<iq type='%s' id='%s' to='%s'>%s</iq>", kind, id, target, payload)
	}
	message := func(payload string) string {
		return fmt.Sprintf("<message type='chat' id='%s' to='%s'>%s</message>", id, target, payload)
	}
	encrypted := fmt.Sprintf("<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='%d'><key prekey='true' rid='%d'>%s</key><iv>%s</iv></header><payload>%s</payload></encrypted>",
		n%1000+1, n%7+1, noise, noise[:16], noise)
	offer := func(security string) string {
		return iq("set", fmt.Sprintf("<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='%s'><content creator='initiator' name='x'>"+
			"<description xmlns='urn:xmpp:jingle:apps:file-transfer:5'><file><name>%s</name><size>%d</size></file></description>"+
			"<transport xmlns='urn:xmpp:jingle:transports:s5b:1' sid='%s'/>%s</content></jingle>", id, noise, n, id, security))
	}
	switch n % 12 {
	case 0:
		return offer("<security xmlns='urn:xmpp:jingle:jet:0' name='x' cipher='urn:xmpp:ciphers:aes-256-gcm-nopadding:0' type='eu.siacs.conversations.axolotl'>" + encrypted + "</security>")
	case 1:
		return offer("")
	case 2:
		return iq("set", "<jingle xmlns='urn:xmpp:jingle:1' action='session-accept' sid='nobody'/>")
	case 3:
		return iq("set", "<open xmlns='http://jabber.org/protocol/ibb' sid='"+id+"' block-size='65535'/>")
	case 4:
		return iq("set", "<data xmlns='http://jabber.org/protocol/ibb' sid='"+id+"' seq='0'>"+noise+"</data>")
	case 5:
		return message(encrypted)
	case 6:
		return iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
	case 7:
		return iq("result", noise)
	case 8:
		return message(strings.Repeat("<a xmlns='x'>", 60) + strings.Repeat("</a>", 60))
	case 9:
		return message("<body>" + strings.Repeat(noise, 50) + "</body>")
	case 10:
		return fmt.Sprintf("<presence id='%s'><show>%s</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='%s' ver='%s'/></presence>",
			id, []string{"away", "chat", "dnd"}[n%3], noise, noise[:27]+"=")
	}
	return iq("set", "<unheard-of xmlns='"+noise+"'>"+strings.Repeat("<b/>", 200)+"</unheard-of>")
}
