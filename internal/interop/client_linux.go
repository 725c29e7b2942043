package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"jetsend/internal/xmltree"
)

const (
	nsStream     = "http://etherx.jabber.org/streams"
	nsClient     = "jabber:client"
	nsCarbons    = "urn:xmpp:carbons:2"
	nsPubsub     = "http://jabber.org/protocol/pubsub#event"
	nsSASL       = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind       = "urn:ietf:params:xml:ns:xmpp-bind"
	nsManagement = "urn:xmpp:sm:3"
	clientWait   = 10 * time.Second // for any one answer
	// keptStanzas bounds what a client remembers; a cell sees some dozens.
	keptStanzas = 10000
)

// person is the simplest chat client there is: it logs in, turns carbons on
// (XEP-0280), announces a priority, and remembers everything that it is sent.
// It shares no code with jetsend's own sessions.
type person struct {
	conn    *tls.Conn
	dec     *xml.Decoder
	full    string // its full JID
	done    chan struct{}
	mu      sync.Mutex
	stanzas []*xmltree.Element
}

// newPerson logs a user in with a resource and a priority.
func newPerson(ctx context.Context, s *server, user, resource string, priority int) (*person, error) {
	authority, err := os.ReadFile(s.caFile)
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: s.kind.domain, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", s.tlsAddr())
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", user, err)
	}
	p := &person{conn: conn.(*tls.Conn), done: make(chan struct{})}
	if err := p.login(s.kind.domain, user, resource, priority); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("log %s in: %w", user, err)
	}
	go p.listen()
	// The server tells a client of its own presence once it has taken it in.
	_, err = p.wait(ctx, "own presence of "+user, func(e *xmltree.Element) bool {
		return e.Name.Local == "presence" && e.Attr("from") == p.full
	})
	if err != nil {
		p.leave()
		return nil, err
	}
	return p, nil
}

// login opens the stream and runs SASL PLAIN, binding, carbons and presence.
func (p *person) login(domain, user, resource string, priority int) error {
	_ = p.conn.SetDeadline(time.Now().Add(clientWait))
	if err := p.open(domain); err != nil {
		return err
	}
	secret := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + passwordOf(user)))
	answer, err := p.exchange(`<auth xmlns='` + nsSASL + `' mechanism='PLAIN'>` + secret + `</auth>`)
	if err != nil {
		return err
	}
	if answer.Name.Local != "success" {
		return fmt.Errorf("the server refused: %s", answer)
	}
	if err := p.open(domain); err != nil {
		return err
	}
	answer, err = p.exchange(`<iq type='set' id='bind'><bind xmlns='` + nsBind + `'><resource>` + resource + `</resource></bind></iq>`)
	if err != nil {
		return err
	}
	if b := answer.Child(nsBind, "bind"); b != nil {
		p.full = b.ChildText(nsBind, "jid")
	}
	if p.full == "" {
		return fmt.Errorf("no address bound: %s", answer)
	}
	answer, err = p.exchange(`<iq type='set' id='carbons'><enable xmlns='` + nsCarbons + `'/></iq>`)
	if err != nil {
		return err
	}
	if answer.Attr("type") != "result" {
		return fmt.Errorf("carbons refused: %s", answer)
	}
	if err := p.write(fmt.Sprintf(`<presence><priority>%d</priority></presence>`, priority)); err != nil {
		return err
	}
	return p.conn.SetDeadline(time.Time{})
}

// open starts a stream and reads the features.
func (p *person) open(domain string) error {
	header := `<?xml version='1.0'?><stream:stream to='` + domain + `' version='1.0' xmlns='` + nsClient + `' xmlns:stream='` + nsStream + `'>`
	if err := p.write(header); err != nil {
		return err
	}
	p.dec = xml.NewDecoder(p.conn)
	for {
		t, err := p.dec.Token()
		if err != nil {
			return fmt.Errorf("open stream: %w", err)
		}
		if start, ok := t.(xml.StartElement); ok && start.Name.Local == "stream" {
			break
		}
	}
	features, err := p.read()
	if err == nil && features.Name.Local != "features" {
		err = fmt.Errorf("open stream: %s", features)
	}
	return err
}

func (p *person) write(text string) error {
	if _, err := p.conn.Write([]byte(text)); err != nil {
		return fmt.Errorf("write to server: %w", err)
	}
	return nil
}

// read returns the next top-level element.
func (p *person) read() (*xmltree.Element, error) {
	for {
		t, err := p.dec.Token()
		if err != nil {
			return nil, fmt.Errorf("read from server: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			return xmltree.Decode(p.dec, t)
		case xml.EndElement:
			return nil, errors.New("the server closed the stream")
		}
	}
}

// exchange writes a request and reads its answer, before presence is sent.
func (p *person) exchange(request string) (*xmltree.Element, error) {
	if err := p.write(request); err != nil {
		return nil, err
	}
	return p.read()
}

// listen remembers stanzas until the stream ends. It answers no requests: a
// client without features.
func (p *person) listen() {
	defer close(p.done)
	for {
		e, err := p.read()
		if err != nil {
			return
		}
		p.mu.Lock()
		if len(p.stanzas) < keptStanzas {
			p.stanzas = append(p.stanzas, e)
		}
		p.mu.Unlock()
	}
}

// chat sends a chat message.
func (p *person) chat(to, body string) error {
	return p.write(xmltree.New(nsClient, "message", xmltree.New(nsClient, "body").SetText(body)).
		Set("to", to).Set("type", "chat").String())
}

// all returns what has arrived that match accepts.
func (p *person) all(match func(*xmltree.Element) bool) []*xmltree.Element {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*xmltree.Element
	for _, e := range p.stanzas {
		if match(e) {
			found = append(found, e)
		}
	}
	return found
}

// wait returns the first stanza, past or to come, that match accepts.
func (p *person) wait(ctx context.Context, what string, match func(*xmltree.Element) bool) (*xmltree.Element, error) {
	var e *xmltree.Element
	err := poll(ctx, clientWait, "wait for "+what, func(context.Context) (bool, error) {
		if found := p.all(match); len(found) > 0 {
			e = found[0]
		}
		return e != nil, nil
	})
	return e, err
}

// sleep makes the client one that its server keeps for it (XEP-0198), and takes
// its connection away without a word, as a telephone does in a pocket.
func (p *person) sleep(ctx context.Context) error {
	if err := p.write(`<enable xmlns='` + nsManagement + `' resume='true'/>`); err != nil {
		return err
	}
	_, err := p.wait(ctx, "a stream that can be resumed", func(e *xmltree.Element) bool {
		return e.Name.Space == nsManagement && e.Name.Local == "enabled"
	})
	_ = p.conn.NetConn().Close()
	<-p.done
	return err
}

// leave ends the connection and waits.
func (p *person) leave() {
	_ = p.conn.SetDeadline(time.Now().Add(clientWait))
	_ = p.write(`<presence type='unavailable'/></stream:stream>`)
	_ = p.conn.Close()
	<-p.done
}

// isChat accepts messages with this body, as they are or in a carbon.
func isChat(body string) func(*xmltree.Element) bool {
	return func(e *xmltree.Element) bool {
		return e.Name.Local == "message" && strings.Contains(e.String(), ">"+body+"<")
	}
}

// isCarbon accepts carbon copies with this body.
func isCarbon(body string) func(*xmltree.Element) bool {
	return func(e *xmltree.Element) bool {
		return isChat(body)(e) && (e.Child(nsCarbons, "received") != nil || e.Child(nsCarbons, "sent") != nil)
	}
}

// isVisible accepts messages that a client could show something for, or try
// to: everything but notifications of published items (XEP-0163).
func isVisible(e *xmltree.Element) bool {
	return e.Name.Local == "message" && e.Child(nsPubsub, "event") == nil
}
