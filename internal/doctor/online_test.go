package doctor

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/source"
	"jetsend/internal/state"
	"jetsend/internal/transfer"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// The texts that fit into an offer.
const (
	maxDescription = 8 << 10
	maxGivenName   = 4 << 10
)

// prosody starts a Prosody, or the software that the environment names instead.
func prosody(t *testing.T) *xmpptest.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Prosody")
	}
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Software: xmpptest.Software(os.Getenv("JETSEND_TEST_SERVER"))})
	for _, u := range []string{"romeo", "juliet"} {
		if err := s.AddAccount(u, u+"pw"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Subscribe("romeo", "juliet"); err != nil {
		t.Fatal(err)
	}
	return s
}

// online puts a user online whose server is at addr.
func online(t *testing.T, s *xmpptest.Server, addr, user string, change func(*transfer.Config)) *transfer.Endpoint {
	t.Helper()
	c := transfer.Config{
		Session: session.Config{
			JID: jid.MustParse(s.JID(user)), Server: addr, RootCAs: s.CA.Pool(),
			Password: func(context.Context) (string, error) { return user + "pw", nil },
		},
		StateDir: t.TempDir(), Quick: true, NoSets: true,
	}
	if change != nil {
		change(&c)
	}
	e, err := transfer.Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Errorf("close %s: %v", user, err)
		}
	})
	return e
}

func receiver(c *transfer.Config) { c.Receiver = true }

// receiving has an endpoint receive until the test ends. Nobody sees it online before it
// does.
func receiving(t *testing.T, e *transfer.Endpoint) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	dir := t.TempDir()
	go func() { ended <- e.Receive(ctx, transfer.ReceiveOptions{Dir: dir, Accept: policy.Contacts}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err == nil {
			t.Error("a cancelled receive returned nil")
		}
	})
}

func testFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// journalOf opens the journal of an endpoint, as another process does.
func journalOf(t *testing.T, e *transfer.Endpoint) *journal.Journal {
	t.Helper()
	db, err := state.Open(t.Context(), state.Path(e.Config().StateDir, e.JID().Bare()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	j, err := journal.Open(t.Context(), db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestDoctorLeavesNoTrace: neither a dry run nor a diagnosis sends anything to
// the contact's client but questions what it is, begins a session, learns a key
// or writes into the journal.
func TestDoctorLeavesNoTrace(t *testing.T) {
	s := prosody(t)
	tap := xmpptest.StartTap(t, s, xmpptest.Pass)
	juliet := online(t, s, s.Addr, "juliet", receiver)
	romeo := online(t, s, tap.Addr, "romeo", nil)
	receiving(t, juliet)
	to := jid.MustParse("juliet@jet.test")
	opt := transfer.SendOptions{To: to, Files: []source.Named{{Path: testFile(t, "text")}}, Wait: time.Minute}

	plans, err := DryRun(t.Context(), romeo, opt)
	if err != nil || len(plans) != 1 || plans[0].To != juliet.JID().String() || plans[0].Devices[0].Fingerprint != juliet.OMEMO().Fingerprint() {
		t.Fatalf("%+v %v", plans, err)
	}
	asked := toClient(t, tap, juliet.JID())
	if len(asked) == 0 {
		t.Error("nothing was asked")
	}
	for _, ns := range asked {
		if ns != "http://jabber.org/protocol/disco#info" {
			t.Errorf("a dry run asks %s", ns)
		}
	}
	var all []Finding
	if plan, err := Diagnose(t.Context(), romeo, opt, func(f Finding) { all = append(all, f) }); err != nil || plan.Form != dialect.WordJetsend {
		t.Fatalf("%+v %v", plan, err)
	}
	for _, ns := range toClient(t, tap, juliet.JID()) {
		if ns != "http://jabber.org/protocol/disco#info" && ns != nsVersion {
			t.Errorf("a diagnosis asks %s", ns)
		}
	}
	for _, f := range all {
		if f.Status == StatusFail || f.Code != 0 || f.Text == "" {
			t.Errorf("%+v", f)
		}
	}
	if known, err := romeo.OMEMO().Devices(t.Context(), to); err != nil || len(known) > 0 {
		t.Errorf("devices known now: %+v %v", known, err)
	}
	if rows, err := journalOf(t, romeo).List(t.Context(), journal.Filter{}); err != nil || len(rows) > 0 {
		t.Errorf("rows: %+v %v", rows, err)
	}
	if waiting, err := juliet.OMEMO().NeedsAnnounce(t.Context()); err != nil || waiting {
		t.Errorf("a prekey was used: %v %v", waiting, err)
	}
}

// toClient are the payloads of what went to a client, by name space.
func toClient(t *testing.T, tap *xmpptest.Tap, full jid.JID) (spaces []string) {
	t.Helper()
	for _, st := range tap.Stanzas() {
		if st.Dir != xmpptest.ToServer || !bytes.Contains(st.Raw, []byte(full.String())) {
			continue
		}
		x, err := xmltree.Parse(st.Raw)
		if err != nil || x.Name.Local != "iq" || x.Attr("type") != "get" || len(x.Children) != 1 {
			t.Errorf("sent %s", st.Raw)
			continue
		}
		spaces = append(spaces, x.Children[0].Name.Space)
	}
	return spaces
}

// TestDryRunOfInterrupted: a plan names the transfer that it would go on with,
// and the journal is as before.
func TestDryRunOfInterrupted(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", receiver)
	romeo := online(t, s, s.Addr, "romeo", nil)
	receiving(t, juliet)
	opt := transfer.SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "some text")}}, Wait: time.Minute}
	const id = "0a3c1f2e-5d6b-4c7a-8e9f-0123456789ab"
	src, err := source.Open(t.Context(), opt.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close(src)
	h, err := journalOf(t, romeo).Begin(t.Context(), journal.Row{
		Key: journal.Key{ID: id, Direction: journal.Send}, Peer: opt.To, Profile: true,
		Name: src.Name, Path: src.Path, Size: src.Size, MTime: src.MTime, Mode: src.Mode, Source: src.Kind(), Manifest: src.Manifest(), Origin: src.Origin,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Run(t.Context()), h.Progress(t.Context(), 4), h.Interrupt(fault.ErrStreamLost), h.Release()); err != nil {
		t.Fatal(err)
	}
	plans, err := DryRun(t.Context(), romeo, opt)
	if err != nil || plans[0].File.Transfer != id || plans[0].File.ResumedFrom != 4 {
		t.Errorf("%+v %v", plans, err)
	}
	opt.NoResume = true
	if plans, err = DryRun(t.Context(), romeo, opt); err != nil || plans[0].File.Transfer != "" {
		t.Errorf("anew: %+v %v", plans, err)
	}
	var found []Finding
	if _, err := Diagnose(t.Context(), romeo, opt, func(f Finding) { found = append(found, f) }); err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if d, ok := f.Details.(InterruptedDetails); ok && d.Transfer == id && d.Bytes == 4 && d.Resumable && strings.Contains(f.Hints[0], "jetsend resume "+id[:8]) {
			return
		}
	}
	t.Errorf("not told of: %+v", found)
}

// TestDryRunFails ends as Send does before the contact's answer.
func TestDryRunFails(t *testing.T) {
	s := prosody(t)
	romeo := online(t, s, s.Addr, "romeo", nil)
	file := []source.Named{{Path: testFile(t, "text")}}
	for name, tt := range map[string]struct {
		opt  transfer.SendOptions
		code exitcode.Code
	}{
		"offline":     {transfer.SendOptions{To: jid.MustParse("juliet@jet.test"), Files: file}, exitcode.Offline},
		"no resource": {transfer.SendOptions{To: jid.MustParse("juliet@jet.test/none"), Files: file}, exitcode.Offline},
		"no file":     {transfer.SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: "/nonexistent"}}}, exitcode.LocalFile},
		"description": {transfer.SendOptions{To: jid.MustParse("juliet@jet.test"), Files: file, Description: strings.Repeat("x", maxDescription+1)}, exitcode.Usage},
		"quotes":      {transfer.SendOptions{To: jid.MustParse("juliet@jet.test"), Files: file, Description: strings.Repeat("\"\n", maxDescription/8)}, exitcode.Usage},
		"name":        {transfer.SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: file[0].Path, Name: strings.Repeat("x", maxGivenName+1)}}}, exitcode.Usage},
	} {
		t.Run(name, func(t *testing.T) {
			var dry, real *fault.Failure
			if _, err := DryRun(t.Context(), romeo, tt.opt); !errors.As(err, &dry) {
				t.Fatal(err)
			}
			if err := romeo.Send(t.Context(), tt.opt); !errors.As(err, &real) {
				t.Fatal(err)
			}
			if dry.Code != tt.code || dry.Code != real.Code || dry.Error() != real.Error() {
				t.Errorf("dry %d %v, real %d %v", dry.Code, dry, real.Code, real)
			}
		})
	}
}

// TestDiagnoseCancelled ends with the cause.
func TestDiagnoseCancelled(t *testing.T) {
	s := prosody(t)
	romeo := online(t, s, s.Addr, "romeo", nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	var f *fault.Failure
	_, err := Diagnose(ctx, romeo, transfer.SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Hour}, func(f Finding) {
		if f.Check == "subscription" {
			cancel(fault.ErrInterrupted)
		}
	})
	if !errors.As(err, &f) || f.Code != exitcode.Cancelled {
		t.Errorf("%v", err)
	}
}

// TestSOCKS5: with a SOCKS5 proxy for the account everything goes through it, also the
// look at the proxies of the server, and no place of this machine is offered.
func TestSOCKS5(t *testing.T) {
	s := prosody(t)
	o := xmpptest.StartOnion(t)
	at := func(name, addr string) string { return name + addr[strings.LastIndex(addr, ":"):] }
	proxyAt := at("proxy.jet.test", s.ProxyAddr)
	hidden := func(c *transfer.Config) {
		c.Session.Server, c.Session.SOCKS5 = at("jet.test", s.Addr), o.Addr
		c.Session.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != o.Addr {
				t.Errorf("dials %s", address)
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
		c.S5B = route.S5BConfig{Advertise: []string{"here.jet.test"}, Proxies: []string{"proxy.jet.test=" + proxyAt}}
	}
	juliet := online(t, s, "", "juliet", func(c *transfer.Config) { hidden(c); c.Receiver = true })
	romeo := online(t, s, "", "romeo", hidden)
	receiving(t, juliet)
	opt := transfer.SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "text")}}, Wait: time.Minute}
	_, port, err := net.SplitHostPort(proxyAt)
	if err != nil {
		t.Fatal(err)
	}
	if plans, err := DryRun(t.Context(), romeo, opt); err != nil || len(plans[0].Candidates) != 1 || plans[0].Candidates[0].String() != "proxy proxy.jet.test:"+port {
		t.Errorf("dry run: %+v %v", plans, err)
	}
	var found []Finding
	if _, err := Diagnose(t.Context(), romeo, opt, func(f Finding) { found = append(found, f) }); err != nil {
		t.Error(err)
	}
	for check, want := range map[string]string{"candidates": "everything goes through the proxy", "proxies": "proxy.jet.test at " + proxyAt + " answers"} {
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Check == check && strings.Contains(f.Text, want) }) {
			t.Errorf("diagnosis without %q: %+v", want, found)
		}
	}
	if !slices.Contains(o.Asked(), proxyAt) {
		t.Errorf("the proxy of the server was not reached by its name: %v", o.Asked())
	}
}
