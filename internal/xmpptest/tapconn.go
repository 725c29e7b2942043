package xmpptest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"sync"
	"sync/atomic"
	"time"
)

// Name spaces of the opening of a stream (RFC 6120 sections 4.8 and 5.4).
const (
	nsTLS    = "urn:ietf:params:xml:ns:xmpp-tls"
	nsStream = "http://etherx.jabber.org/streams"
)

// tapConn is one client connection through a tap: a TLS connection to each end.
type tapConn struct {
	client, server *tls.Conn
	// Writes of the pumps and of Inject meet here, one lock for each direction.
	locks  [2]sync.Mutex
	counts counts
	cutOff atomic.Bool // by cut
}

// open speaks STARTTLS with the server and then with the client, so that a
// server that is down looks down.
func (t *Tap) open(client net.Conn) (*tapConn, error) {
	deadline := time.Now().Add(tapTimeout)
	ctx, cancel := context.WithDeadline(t.ctx, deadline)
	defer cancel()
	outer, err := t.dialServer(ctx)
	if err != nil {
		return nil, fmt.Errorf("open towards the server: %w", err)
	}
	_ = client.SetDeadline(deadline) // fails only on a closed connection, which the next read tells
	inner, err := t.acceptClient(client)
	if err != nil {
		_ = outer.NetConn().Close() // the first error counts
		return nil, fmt.Errorf("open towards the client: %w", err)
	}
	_ = inner.SetDeadline(time.Time{})
	_ = outer.SetDeadline(time.Time{})
	return &tapConn{client: inner, server: outer}, nil
}

// acceptClient is the server's half of STARTTLS (RFC 6120 section 5.4).
func (t *Tap) acceptClient(conn net.Conn) (*tls.Conn, error) {
	s := newSplitter(bufio.NewReader(conn))
	if err := s.skipTo(unitHeader); err != nil {
		return nil, err
	}
	_, err := fmt.Fprintf(conn, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='%s' id='tap' from='%s' version='1.0'>"+
		"<stream:features><starttls xmlns='%s'><required/></starttls></stream:features>", nsStream, t.server.Domain, nsTLS)
	if err != nil {
		return nil, err
	}
	u, err := s.stanza()
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(u, []byte("<starttls")) {
		return nil, fmt.Errorf("%w: %q instead of starttls", errNotXML, u)
	}
	if _, err := fmt.Fprintf(conn, "<proceed xmlns='%s'/>", nsTLS); err != nil {
		return nil, err
	}
	c := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{t.leaf}, MinVersion: tls.VersionTLS12})
	if err := c.HandshakeContext(t.ctx); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return c, nil
}

// dialServer is the client's half of STARTTLS, with the certificate verified.
func (t *Tap) dialServer(ctx context.Context) (_ *tls.Conn, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.server.Addr)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close() // the first error counts
		}
	}()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	_, err = fmt.Fprintf(conn, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='%s' to='%s' version='1.0'>",
		nsStream, t.server.Domain)
	if err != nil {
		return nil, err
	}
	s := newSplitter(bufio.NewReader(conn))
	if err := s.skipTo(unitHeader); err != nil {
		return nil, err
	}
	features, err := s.stanza()
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(features, []byte(nsTLS)) {
		return nil, fmt.Errorf("%w: no starttls in %q", errNotXML, features)
	}
	if _, err := fmt.Fprintf(conn, "<starttls xmlns='%s'/>", nsTLS); err != nil {
		return nil, err
	}
	proceed, err := s.stanza()
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(proceed, []byte("<proceed")) {
		return nil, fmt.Errorf("%w: starttls refused with %q", errNotXML, proceed)
	}
	c := tls.Client(conn, &tls.Config{
		RootCAs: t.server.CA.Pool(), ServerName: t.server.Domain, MinVersion: tls.VersionTLS12,
		// As a session writes: a stanza is one record, so that a cut tears none in two.
		DynamicRecordSizingDisabled: true,
	})
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return c, nil
}

// skipTo reads units up to and including one of the kind.
func (s *splitter) skipTo(kind unitKind) error {
	for {
		u, err := s.next()
		if err != nil || u.kind == kind {
			return err
		}
	}
}

// stanza returns the next top-level element.
func (s *splitter) stanza() ([]byte, error) {
	for {
		u, err := s.next()
		if err != nil {
			return nil, err
		}
		if u.kind == unitStanza {
			return u.raw, nil
		}
	}
}

// run carries both directions until the connection is over.
func (c *tapConn) run(pass Rewrite) {
	var wg sync.WaitGroup
	wg.Go(func() {
		// A client that is done writing may still read the server's goodbye.
		if err := c.pump(ToServer, c.client, pass); errors.Is(err, io.EOF) {
			_ = c.server.CloseWrite() // fails only on a connection that is over
			return
		}
		if !c.cutOff.Load() {
			c.abort()
		}
	})
	wg.Go(func() {
		if err := c.pump(ToClient, c.server, pass); errors.Is(err, io.EOF) {
			_ = c.client.CloseWrite()
		} else if c.cutOff.Load() {
			_ = c.server.SetReadDeadline(time.Now().Add(tapTimeout))
			_, _ = io.Copy(io.Discard, c.server.NetConn()) // to the server's end of it
		}
		c.abort()
	})
	wg.Wait()
	c.abort()
}

func (c *tapConn) pump(dir Direction, from io.Reader, pass Rewrite) error {
	s := newSplitter(bufio.NewReader(from))
	for {
		u, err := s.next()
		if err != nil {
			return err
		}
		out := [][]byte{u.raw}
		if u.kind == unitStanza {
			c.counts.arrived(dir, u.raw)
			out = pass(dir, u.raw)
		}
		for _, raw := range out {
			if err := c.write(dir, raw); err != nil {
				return err
			}
		}
	}
}

func (c *tapConn) write(dir Direction, raw []byte) error {
	c.locks[dir].Lock()
	defer c.locks[dir].Unlock()
	to := c.server
	if dir == ToClient {
		to = c.client
	}
	if _, err := to.Write(c.counts.leaving(dir, raw)); err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	return nil
}

// cut takes the connection away from the client. The server still gets all that it
// was sent before: to close the connection would throw away what it has not read yet,
// and Prosody 0.12 goes on with no stream of which it has read half a stanza.
func (c *tapConn) cut() {
	c.cutOff.Store(true)
	_ = c.client.NetConn().Close() // may be closed already
	if server, ok := c.server.NetConn().(*net.TCPConn); ok {
		_ = server.CloseWrite()
	}
}

// abort closes the connections below TLS, so that it blocks on nobody.
func (c *tapConn) abort() {
	_ = c.client.NetConn().Close() // may be closed already
	_ = c.server.NetConn().Close()
}

// What names channel binding in stream features: SASL mechanisms whose name
// ends in -PLUS (RFC 5802 section 6) and the types on offer (XEP-0440).
var (
	plusMechanism = regexp.MustCompile(`<mechanism>[A-Z0-9-]+-PLUS</mechanism>`)
	bindingTypes  = regexp.MustCompile(`(?s)<sasl-channel-binding .*?</sasl-channel-binding>`)
)

// withoutChannelBinding takes channel binding off stream features. It would
// fail: the two TLS connections of a tap have nothing in common.
func withoutChannelBinding(stanza []byte) []byte {
	if !bytes.HasPrefix(stanza, []byte("<stream:features")) {
		return stanza
	}
	return bindingTypes.ReplaceAll(plusMechanism.ReplaceAll(stanza, nil), nil)
}
