package xmpptest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Flood is what a contact floods a client with whose sessions with it he knows: each
// stanza is to make as much work as its bytes allow. Its envelopes hold four ratchet
// messages of a device that is known, with keys that nobody has and numbers that are
// far ahead.
type Flood string

// The floods: OMEMO messages, offers of files, and requests for the rest of files.
const (
	FloodMessages Flood = "messages"
	FloodOffers   Flood = "offers"
	FloodRequests Flood = "requests"
)

// Floods returns all of them.
func Floods() []Flood { return []Flood{FloodMessages, FloodOffers, FloodRequests} }

const (
	// floodRate is how much of a flood is sent, in bytes a second.
	floodRate = 10_000
	// floodKeys is how many ratchet messages an envelope holds.
	floodKeys = 4
)

// Devices are the OMEMO device ids of who floods and of who is flooded.
type Devices struct{ From, To uint32 }

// Begin begins a flood of a full JID by an account that may write to it, of ten
// kilobytes a second. It lasts until [Siege.End].
func (f Flood) Begin(ctx context.Context, s *Server, user, password, target string, d Devices) (*Siege, error) {
	raw, err := LoginRaw(ctx, s, user, password, "flood")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	g := &Siege{raw: raw, stop: stop, errs: make(chan error, 1), next: func(n int) string { return f.Stanza(n, raw.JID, target, d) }, rate: floodRate}
	g.wg.Go(func() { g.flood(ctx) })
	return g, nil
}

// Stanza returns the n-th stanza of the flood, from one full JID to another.
func (f Flood) Stanza(n int, from, to string, d Devices) string {
	numbers := []uint32{2000, 1000, 100, 0}
	envelope := costly(d, numbers[n%len(numbers)])
	if f == FloodMessages {
		return fmt.Sprintf("<message type='chat' id='m%d' to='%s'>%s</message>", n, to, envelope)
	}
	senders := "initiator"
	if f == FloodRequests {
		senders = "responder"
	}
	return fmt.Sprintf("<iq type='set' id='o%d' to='%s'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' initiator='%s' sid='o%d'>"+
		"<content creator='initiator' name='file' senders='%s'>"+
		"<description xmlns='urn:xmpp:jingle:apps:file-transfer:5'><file><size>1</size></file></description>"+
		"<transport xmlns='urn:xmpp:jingle:transports:ibb:1' sid='o%d' block-size='4096'/>"+
		"<security xmlns='urn:xmpp:jingle:jet:0' name='file' cipher='urn:xmpp:ciphers:aes-128-gcm-nopadding' type='eu.siacs.conversations.axolotl'>%s</security>"+
		"</content></jingle></iq>", n, to, from, n, senders, n, envelope)
}

// costly is an envelope whose ratchet messages are so far ahead.
func costly(d Devices, number uint32) string {
	var keys strings.Builder
	for range floodKeys {
		r := make([]byte, 56)
		_, _ = rand.Read(r) // never fails
		m := append([]byte{0x33, 0x0a, 0x21, 0x05}, r[:32]...)
		m = binary.AppendUvarint(append(m, 0x10), uint64(number))
		m = append(append(m, 0x18, 0, 0x22, 0x10), r[32:]...)
		fmt.Fprintf(&keys, "<key rid='%d'>%s</key>", d.To, base64.StdEncoding.EncodeToString(m))
	}
	return fmt.Sprintf("<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='%d'>%s<iv>AAAAAAAAAAAAAAAA</iv></header></encrypted>", d.From, keys.String())
}

// pace waits until so many bytes more may be sent, or ctx ends.
func (g *Siege) pace(ctx context.Context, bytes int) {
	if g.rate == 0 {
		return
	}
	t := time.NewTimer(time.Duration(bytes) * time.Second / time.Duration(g.rate))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
