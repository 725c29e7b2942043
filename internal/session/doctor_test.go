package session

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"
)

func TestInspect(t *testing.T) {
	f := (&fake{direct: true, mechanisms: []string{"PLAIN", "SCRAM-SHA-256"}, bindings: []string{"tls-exporter"}}).start(t)
	cfg := f.config()
	cfg.Password = func(context.Context) (string, error) {
		t.Error("the password was asked for")
		return "", nil
	}
	in := Inspect(testContext(t), cfg)
	if in.Err != nil {
		t.Fatal(in.Err)
	}
	if !in.Asked || len(in.SRV) != 1 || in.SRV[0].Service != srvDirectTLS || in.SRVErr != nil {
		t.Errorf("dns: %+v", in)
	}
	if len(in.Attempts) != 1 || in.Attempts[0].Address != f.ln.Addr().String() || in.Attempts[0].Err != nil {
		t.Errorf("attempts: %+v", in.Attempts)
	}
	l := in.Link
	if l == nil || !l.Direct || l.Address != f.ln.Addr().String() || l.TLS.Version != tls.VersionTLS13 || len(l.TLS.PeerCertificates) == 0 {
		t.Fatalf("link: %+v", l)
	}
	if in.Mechanism != "SCRAM-SHA-256" || in.Binding != "" || in.MechanismErr != nil || len(in.Mechanisms) != 2 {
		t.Errorf("mechanisms: %+v", in)
	}
	if f.saw("auth") {
		t.Error("authentication was begun")
	}
}

func TestInspectMechanisms(t *testing.T) {
	plus := (&fake{mechanisms: []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}, bindings: []string{"tls-exporter"}}).start(t)
	if in := Inspect(testContext(t), plus.config()); in.Mechanism != "SCRAM-SHA-256-PLUS" || in.Binding != "tls-exporter" || in.Link == nil || in.Link.Direct {
		t.Errorf("channel binding: %+v", in)
	}
	plain := (&fake{mechanisms: []string{"PLAIN"}}).start(t)
	if in := Inspect(testContext(t), plain.config()); !errors.Is(in.MechanismErr, ErrPlainOnly) || in.Err != nil {
		t.Errorf("plain only: %+v", in)
	}
}

func TestInspectFailures(t *testing.T) {
	expired := (&fake{certUntil: time.Now().Add(-time.Hour)}).start(t)
	cfg := expired.config()
	records := cfg.LookupSRV
	cfg.LookupSRV = func(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
		cname, out, err := records(ctx, service, proto, name)
		if len(out) > 0 {
			out = append([]*net.SRV{{Target: "127.0.0.1.", Port: 1}}, out...)
			out[1].Priority = 5
		}
		return cname, out, err
	}
	in := Inspect(testContext(t), cfg)
	var cert *CertificateError
	if !errors.As(in.Err, &cert) || in.Link != nil {
		t.Errorf("expired certificate: %+v", in)
	}
	if len(in.SRV) != 2 || in.SRV[0].Port != 1 || len(in.Attempts) != 2 || in.Attempts[0].Err == nil || in.Attempts[1].Err != nil {
		t.Errorf("hosts: %+v", in)
	}

	cfg = expired.config()
	cfg.LookupSRV = func(context.Context, string, string, string) (string, []*net.SRV, error) {
		return "", nil, &net.DNSError{IsTimeout: true}
	}
	cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
	in = Inspect(testContext(t), cfg)
	var far *UnreachableError
	if !errors.As(in.Err, &far) || in.SRVErr == nil || len(in.Attempts) != 2 {
		t.Errorf("no network: %+v", in)
	}
	if in := Inspect(testContext(t), Config{}); in.Err == nil {
		t.Error("a look without an account")
	}
}

// TestInspectProxied: what is told is the hosts behind the proxy.
func TestInspectProxied(t *testing.T) {
	f := (&fake{}).start(t)
	cfg := f.config()
	cfg.SOCKS5, _ = socksProxy(t, f.address())
	cfg.LookupSRV = noLookup(t)
	in := Inspect(testContext(t), cfg)
	// The fake speaks STARTTLS only, on whatever port.
	if len(in.Attempts) != 2 || in.Attempts[0].Address != "jet.test:5223" || in.Attempts[1].Address != "jet.test:5222" || in.Attempts[1].Err != nil {
		t.Errorf("attempts: %+v", in.Attempts)
	}
	if in.Err != nil || in.Asked || in.Link == nil || in.Link.Address != "jet.test:5222" || in.Link.Remote != nil {
		t.Errorf("%+v", in)
	}
	cfg.SOCKS5 = "127.0.0.1:1"
	if in = Inspect(testContext(t), cfg); in.Err == nil || len(in.Attempts) != 2 || in.Attempts[0].Err == nil {
		t.Errorf("no proxy: %+v", in)
	}
}

// TestLinkAndManagement asks a session that is online.
func TestLinkAndManagement(t *testing.T) {
	f := (&fake{sm: &fakeSM{max: 30}}).start(t)
	cfg := f.config()
	cfg.Reconnect = true
	s := New(cfg)
	if s.Link() != nil || s.Management() != (Management{}) {
		t.Error("a link before the login")
	}
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if l := s.Link(); l == nil || l.Direct || l.Address != f.ln.Addr().String() {
		t.Errorf("link: %+v", l)
	}
	managed(t, s)
	if m := s.Management(); m != (Management{true, 30 * time.Second}) {
		t.Errorf("management: %+v", m)
	}
	closeSession(t, s)
	if s.Link() != nil {
		t.Error("a link after the end")
	}
	off := (&fake{sm: &fakeSM{off: true}}).start(t)
	cfg = off.config()
	cfg.Reconnect = true
	s = New(cfg)
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	defer closeSession(t, s)
	if m := s.Management(); m != (Management{}) {
		t.Errorf("refused management: %+v", m)
	}
}
