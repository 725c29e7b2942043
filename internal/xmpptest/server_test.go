package xmpptest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

var couple = []Account{{User: "romeo", Password: `pw "\' é`}, {User: "juliet", Password: "julietpw"}}

func TestServerLogin(t *testing.T) {
	s := Start(t, Options{Software: software(), Accounts: couple})
	c := dialRaw(t, s, s.Addr, false)
	for _, m := range []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
		if !strings.Contains(c.features, "<mechanism>"+m+"</mechanism>") {
			t.Errorf("%s is not offered: %s", m, c.features)
		}
	}
	if got := c.auth("romeo", "wrong"); !strings.Contains(got, "not-authorized") {
		t.Errorf("wrong password: %s", got)
	}
	for _, addr := range []string{s.Addr, s.TLSAddr} {
		login(t, s, addr, "romeo", couple[0].Password)
	}
	if err := s.AddAccount("nur.se-1", "npw"); err != nil {
		t.Fatal(err)
	}
	c = login(t, s, s.Addr, "nur.se-1", "npw")
	c.send("<iq type='get' id='d' to='%s'><query xmlns='http://jabber.org/protocol/bytestreams'/></iq>", s.ProxyJID)
	host, port, _ := net.SplitHostPort(s.ProxyAddr)
	if got := c.expect("streamhost"); !strings.Contains(got, "'"+host+"'") || !strings.Contains(got, "'"+port+"'") {
		t.Errorf("proxy at %s: %s", s.ProxyAddr, got)
	}
	c.send("<iq type='get' id='i' to='%s'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>", s.JID("nur.se-1"))
	if got := c.expect("identity"); !strings.Contains(got, "type='pep'") {
		t.Errorf("no pep: %s", got)
	}
}

func TestServerSubscribe(t *testing.T) {
	s := Start(t, Options{Software: software(), Accounts: couple, Mutual: true})
	for _, u := range []string{"nurse", "paris"} {
		if err := s.AddAccount(u, "pw"); err != nil {
			t.Fatal(err)
		}
	}
	roster := func(user, password string) string {
		c := login(t, s, s.Addr, user, password)
		c.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
		r := c.expect("jabber:iq:roster")
		c.send("</stream:stream>")
		if u, err := c.split.next(); err != nil || u.kind != unitClose {
			t.Fatalf("after goodbye: %q %v", u.raw, err)
		}
		return r
	}
	if got := roster("nurse", "pw"); strings.Contains(got, "<item") {
		t.Errorf("nurse knows somebody: %s", got)
	}
	if err := s.Subscribe("nurse", "juliet"); err != nil {
		t.Fatal(err)
	}
	juliet := roster("juliet", "julietpw")
	for _, want := range []string{"romeo@jet.test", "nurse@jet.test"} {
		if !strings.Contains(juliet, want) || strings.Count(juliet, "subscription='both'") != 2 {
			t.Errorf("juliet's roster: %s", juliet)
		}
	}
	if got := roster("nurse", "pw"); !strings.Contains(got, "juliet@jet.test") || strings.Contains(got, "romeo") {
		t.Errorf("nurse's roster: %s", got)
	}
}

func TestServerStopRestartKill(t *testing.T) {
	s := Start(t, Options{Software: software(), Accounts: couple, NoProxy: true})
	if s.ProxyAddr != "" || s.ProxyJID != "" {
		t.Errorf("a proxy at %q", s.ProxyAddr)
	}
	c := login(t, s, s.Addr, "juliet", "julietpw")
	pid := s.PID()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for {
		// Prosody usually says goodbye first, but exits without it now and then.
		if _, err := c.split.next(); err != nil {
			break
		}
	}
	if err := signalNothing(pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	if conn, err := net.Dial("tcp", s.Addr); err == nil {
		_ = conn.Close()
		t.Error("a stopped server takes connections")
	}
	addr := s.Addr
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = login(t, s, addr, "juliet", "julietpw")
	s.Kill()
	if _, err := c.split.next(); err == nil {
		t.Error("a killed server said goodbye")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	login(t, s, addr, "juliet", "julietpw")
}

func TestServersSideBySide(t *testing.T) {
	a := Start(t, Options{Software: software(), Accounts: couple})
	b := Start(t, Options{Software: software(), Accounts: couple, Domain: "other.test", DisabledSASL: []string{"SCRAM-SHA-256"}, DisabledModules: []string{"pep"}})
	login(t, a, a.Addr, "juliet", "julietpw")
	c := dialRaw(t, b, b.Addr, false)
	if strings.Contains(c.features, "SCRAM-SHA-256<") || !strings.Contains(c.features, "SCRAM-SHA-1<") {
		t.Errorf("mechanisms: %s", c.features)
	}
	conn, err := tls.Dial("tcp", b.TLSAddr, &tls.Config{RootCAs: a.CA.Pool(), ServerName: b.Domain})
	if err == nil {
		_ = conn.Close()
		t.Error("one server's authority vouches for the other")
	}
}

func TestServerCertificate(t *testing.T) {
	past := time.Now().Add(-time.Minute)
	for _, tc := range []struct {
		name string
		opts Options
		want any
	}{
		{"wrong name", Options{Software: software(), CertNames: []string{"wrong.test"}}, new(x509.HostnameError)},
		{"expired", Options{Software: software(), CertNotAfter: past}, new(x509.CertificateInvalidError)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := Start(t, tc.opts)
			conn, err := tls.Dial("tcp", s.TLSAddr, &tls.Config{RootCAs: s.CA.Pool(), ServerName: s.Domain})
			if err == nil {
				_ = conn.Close()
				t.Fatal("accepted")
			}
			if !errors.As(err, tc.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNoProsody(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := StartServer(t.Context(), t.TempDir(), Options{})
	if !errors.Is(err, ErrNoProsody) || !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("%v", err)
	}
}

func TestServerThatCannotStart(t *testing.T) {
	_, err := StartServer(t.Context(), t.TempDir(), Options{Extra: "this is not lua"})
	if err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("%v", err)
	}
}

// signalNothing asks whether a process is there.
func signalNothing(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Signal(syscall.Signal(0))
}
