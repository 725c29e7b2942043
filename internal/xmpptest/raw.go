package xmpptest

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// Raw is an XMPP client that says whatever it is told to, well-formed or not. It
// reads and forgets what it is answered.
type Raw struct {
	JID string // full

	conn net.Conn
	done chan struct{}
	sent atomic.Int64
}

// rawTimeout bounds a login, and one write of a client whose server has had enough.
const rawTimeout = time.Minute

// LoginRaw logs an account in over direct TLS, with PLAIN, and makes it available
// with priority -1. The owner calls [Raw.Close].
func LoginRaw(ctx context.Context, s *Server, user, password, resource string) (*Raw, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.TLSAddr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", s.TLSAddr, err)
	}
	_ = conn.SetDeadline(time.Now().Add(rawTimeout))
	sec := tls.Client(conn, &tls.Config{RootCAs: s.CA.Pool(), ServerName: s.Domain, MinVersion: tls.VersionTLS12})
	r := &Raw{JID: s.JID(user) + "/" + resource, conn: sec, done: make(chan struct{})}
	split := newSplitter(bufio.NewReader(sec))
	if err := r.login(s, split, user, password, resource); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("log %s in: %w", user, err)
	}
	_ = sec.SetDeadline(time.Time{})
	go func() { // ends with the connection, which Close waits for
		defer close(r.done)
		for {
			if _, err := split.stanza(); err != nil {
				return
			}
		}
	}()
	return r, nil
}

func (r *Raw) login(s *Server, split *splitter, user, password, resource string) error {
	header := fmt.Sprintf("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='%s' to='%s' version='1.0'>", nsStream, s.Domain)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	for _, step := range []struct{ say, hear string }{
		{header, "<stream:features"},
		{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain + "</auth>", "<success"},
		{header, "<stream:features"},
		{"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + resource + "</resource></bind></iq>", r.JID},
		{"<presence><priority>-1</priority></presence>", ""},
	} {
		if _, err := r.conn.Write([]byte(step.say)); err != nil {
			return err
		}
		if step.hear == "" {
			continue
		}
		if got, err := split.stanza(); err != nil || !strings.Contains(string(got), step.hear) {
			return fmt.Errorf("no %s but %.200s: %w", step.hear, got, err)
		}
	}
	return nil
}

// Send sends text as it is.
func (r *Raw) Send(text string) error {
	_ = r.conn.SetWriteDeadline(time.Now().Add(rawTimeout))
	if _, err := r.conn.Write([]byte(text)); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	r.sent.Add(1)
	return nil
}

// Sent is how often something was sent.
func (r *Raw) Sent() int64 { return r.sent.Load() }

// Close ends the connection without a farewell and waits for the reader.
func (r *Raw) Close() {
	_ = r.conn.Close()
	<-r.done
}
