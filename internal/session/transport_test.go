package session

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	xmpp "gosrc.io/xmpp"
)

// TestClientHello checks what a server learns of us before it is known.
func TestClientHello(t *testing.T) {
	for _, direct := range []bool{false, true} {
		f := (&fake{direct: direct}).start(t)
		f.online(t)
		f.mu.Lock()
		h := f.hello
		f.mu.Unlock()
		if h.ServerName != fakeDomain {
			t.Errorf("asked for %q", h.ServerName)
		}
		if got := slices.Contains(h.SupportedProtos, alpnClient); got != direct {
			t.Errorf("direct %v, ALPN %v", direct, h.SupportedProtos)
		}
		if slices.Min(h.SupportedVersions) < tls.VersionTLS12 {
			t.Errorf("versions %x", h.SupportedVersions)
		}
	}
}

func TestOldTLS(t *testing.T) {
	err := (&fake{maxTLS: tls.VersionTLS11}).login(t, noPassword(t))
	var ue *UnreachableError
	if !errors.As(err, &ue) || !strings.Contains(err.Error(), "tls handshake") {
		t.Error(err)
	}
}

// TestTransport uses the transport by its interface alone.
func TestTransport(t *testing.T) {
	f := &fake{session: nil}
	f.script = map[string]func(*fakeConn) bool{"features": func(c *fakeConn) bool {
		c.header("")
		c.say("<x xmlns='urn:x'/>rest")
		for c.hear() != nil {
		}
		return true
	}}
	f.start(t)
	var tr xmpp.Transport = newTransport(testContext(t), xmpp.TransportConfiguration{
		Address: f.ln.Addr().String(), Domain: fakeDomain,
		TLSConfig: &tls.Config{ServerName: fakeDomain, RootCAs: theCA().pool()},
	}, false, (&net.Dialer{}).DialContext)
	if _, err := tr.Write([]byte(" ")); err == nil {
		t.Error("wrote before Connect")
	}
	var log bytes.Buffer
	tr.LogTraffic(&log)
	if id, err := tr.Connect(); err != nil || id != "s1" {
		t.Fatal(id, err)
	}
	if _, err := tr.GetDecoder().Token(); err != nil {
		t.Fatal(err)
	}
	if err := tr.GetDecoder().Skip(); err != nil {
		t.Fatal(err)
	}
	if tr.IsSecure() || !tr.DoesStartTLS() {
		t.Error("secure too early")
	}
	if _, err := tr.Write([]byte("<starttls xmlns='" + nsTLS + "'/>")); err != nil {
		t.Fatal(err)
	}
	if fr, err := tr.(*transport).next(); err != nil || fr.el.Name.Local != "proceed" {
		t.Fatal(fr, err)
	}
	if err := tr.StartTLS(); err != nil {
		t.Fatal(err)
	}
	if !tr.IsSecure() || tr.DoesStartTLS() {
		t.Error("not secure")
	}
	if _, err := tr.StartStream(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := tr.(*transport).next(); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 4)
	if n, err := tr.Read(b); err != nil || !strings.HasPrefix("rest", string(b[:n])) {
		t.Errorf("%q %v", b[:n], err)
	}
	finishTransport(t, tr)
	if strings.Contains(log.String(), "starttls") || !strings.Contains(log.String(), "write 1 bytes") {
		t.Errorf("log: %s", &log)
	}
}

// TestStreamHeader: whatever the domain is, it stays within its attribute.
func TestStreamHeader(t *testing.T) {
	const domain = `jet.test' from='<x y="z">&amp;]]>`
	here, there := net.Pipe()
	defer there.Close()
	tr := newTransport(testContext(t), xmpp.TransportConfiguration{Address: "h:1", Domain: domain}, false,
		func(context.Context, string, string) (net.Conn, error) { return here, nil })
	begun := make(chan error, 1)
	go func() {
		_, err := tr.Connect()
		begun <- err
	}()
	h, err := newDecoder(bufio.NewReader(there)).open()
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Attr("to"); got != domain || h.Attr("from") != "" {
		t.Errorf("to %q of %+v", got, h)
	}
	there.Close()
	if err := <-begun; err == nil {
		t.Error("connected")
	}
	_ = tr.abort()
}

// finishTransport ends a stream as an application of gosrc would.
func finishTransport(t *testing.T, tr xmpp.Transport) {
	t.Helper()
	if err := tr.Ping(); err != nil {
		t.Error(err)
	}
	tr.ReceivedStreamClose()
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if err := tr.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestAbortBeforeConnect(t *testing.T) {
	f := (&fake{}).start(t)
	tr := newTransport(testContext(t), xmpp.TransportConfiguration{Address: f.ln.Addr().String()}, false, (&net.Dialer{}).DialContext)
	if tr.remoteAddr() != nil {
		t.Error("an address before there is a connection")
	}
	if err := tr.abort(); err != nil {
		t.Error(err)
	}
	if _, err := tr.Connect(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestNoXMPP(t *testing.T) {
	f := &fake{script: map[string]func(*fakeConn) bool{"header": func(c *fakeConn) bool {
		c.say("<html><body>404</body></html>")
		return true
	}}}
	var ue *UnreachableError
	if err := f.login(t, noPassword(t)); !errors.As(err, &ue) || !strings.Contains(err.Error(), "not that of an xmpp server") {
		t.Error(err)
	}
}

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&AuthError{Condition: "account-disabled"}, "login refused: the account is disabled"},
		{&AuthError{Condition: "credentials-expired"}, "login refused: the password has expired"},
		{&AuthError{Condition: "temporary-auth-failure"}, "login refused: the server cannot check passwords at the moment"},
		{&AuthError{Condition: "encryption-required"}, "login refused: the server demands encryption"},
		{&AuthError{Condition: "mechanism-too-weak"}, "login refused: the server does not take this login method (mechanism-too-weak)"},
		{&AuthError{Condition: "malformed-request"}, "login refused: the server says malformed-request"},
		{&AuthError{}, "login refused: no reason given"},
		{&CertificateError{Domain: "a.test", Err: errors.New("odd")}, "the server's certificate for a.test is not valid: odd"},
		{&CertificateError{Domain: "a.test", Err: x509.UnknownAuthorityError{}}, "the server's certificate for a.test is signed by an unknown authority"},
		{&StreamError{Condition: "conflict"}, "the server ended the connection: another program uses the same resource"},
		{&StreamError{Condition: "host-unknown"}, "the server does not serve this domain"},
		{&StreamError{Condition: "system-shutdown"}, "the server is shutting down"},
		{&StreamError{Condition: "policy-violation"}, "the server ended the connection: policy-violation"},
		{&UnreachableError{Domain: "a.test", Errs: []error{errors.New("x"), context.DeadlineExceeded}}, "no server of a.test reachable: x; context deadline exceeded"},
		{&UnreachableError{Domain: "a.test", Errs: []error{
			fmt.Errorf("a.test:5223: %w", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "a.test", Server: "192.0.2.53:53", IsNotFound: true}}),
			fmt.Errorf("a.test:5222: %w", &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "a.test", Server: "192.0.2.53:53", IsNotFound: true}}),
		}}, "no server of a.test reachable: there is no host a.test"},
		{&UnreachableError{Domain: "a.test", Errs: []error{&net.DNSError{Err: "i/o timeout", Name: "b.test", IsTimeout: true}}},
			"no server of a.test reachable: the name server does not answer about b.test"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if !(&AuthError{Condition: "temporary-auth-failure"}).Temporary() {
		t.Error("not temporary")
	}
}
