package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/omemo"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/xmltree"
)

func TestFormName(t *testing.T) {
	files := []string{jingle.NS, jingle.NSFile, s5b.NS, ibb.NSTransport}
	jet := append([]string{jingle.NSJET, contact.NSJETOMEMO}, files...)
	for name, tt := range map[string]struct {
		features []string
		software string
		form     string
		why      string
	}{
		"jetsend":        {append([]string{dialect.WordJetsend}, jet...), "jetsend", dialect.WordJetsend, ""},
		"jet":            {jet, "Dino", dialect.WordJET, ""},
		"libervia":       {jet, "Libervia", dialect.WordNone, "Libervia"},
		"encrypted file": {append([]string{jingle.NSEncryptedFile}, files...), "", dialect.WordEncryptedFile, ""},
		"files":          {files, "Gajim", dialect.WordNone, "XEP-0391"},
		"no omemo":       {append([]string{jingle.NSJET}, files...), "", dialect.WordNone, "XEP-0396"},
		"chat":           {nil, "Profanity", dialect.WordNone, "takes no files"},
	} {
		t.Run(name, func(t *testing.T) {
			info := &session.DiscoInfo{Features: tt.features, Identities: []session.Identity{{Category: "client", Name: tt.software}}}
			p := contact.Describe(jid.MustParse("a@b.example/c"), info, session.Caps{})
			form, why := formNameOf(p, info.Has)
			if form != tt.form || !strings.Contains(why, tt.why) || (why == "") != (p.Form != dialect.FormNone) {
				t.Errorf("%s, %q; capable: %v", form, why, p.Form != dialect.FormNone)
			}
		})
	}
}

func TestSubscriptionFinding(t *testing.T) {
	for _, tt := range []struct {
		s      SubscriptionDetails
		status Status
		hint   string
	}{
		{SubscriptionDetails{Subscription: "both"}, StatusOK, ""},
		{SubscriptionDetails{Subscription: "to", Asks: true}, StatusOK, "contacts accept a@b.example"},
		{SubscriptionDetails{Subscription: "from"}, StatusWarn, "contacts add a@b.example"},
		{SubscriptionDetails{Subscription: "none", Asked: true}, StatusWarn, "ask the contact to accept"},
	} {
		f := subscriptionFinding(tt.s, "a@b.example", "ask the contact to accept it")
		if f.Status != tt.status || !strings.Contains(strings.Join(f.Hints, "\n"), tt.hint) || tt.hint == "" && len(f.Hints) > 0 {
			t.Errorf("%+v: %+v", tt.s, f)
		}
	}
}

// keyOf is an identity key of that byte.
func keyOf(b byte) []byte { return append([]byte{5}, []byte(strings.Repeat(string(rune(b)), 32))...) }

// printOf is its fingerprint.
func printOf(b byte) string { return strings.Repeat(fmt.Sprintf("%02x", b), 32) }

// TestCompare sets published devices beside what is known.
func TestCompare(t *testing.T) {
	who := jid.MustParse("a@b.example")
	known := func(trust omemo.Trust) []omemo.Device {
		return []omemo.Device{{JID: who, ID: 1, IdentityKey: keyOf('a'), Fingerprint: printOf('a'), Trust: trust}}
	}
	for name, tt := range map[string]struct {
		mode   omemo.TrustMode
		known  []omemo.Device
		found  publishedDevice
		usable bool
		kind   omemo.TrustKind // of the refusal; 0: none or another
		text   string          // in the finding
	}{
		"stranger":          {omemo.BlindMode, nil, publishedDevice{key: keyOf('a')}, true, 0, "blind, new"},
		"stranger, strict":  {omemo.VerifiedMode, nil, publishedDevice{key: keyOf('a')}, false, omemo.Unverified, "undecided, not used, new"},
		"known":             {omemo.BlindMode, known(omemo.Blind), publishedDevice{key: keyOf('a')}, true, 0, "blind"},
		"known, no bundle":  {omemo.BlindMode, known(omemo.Blind), publishedDevice{DeviceReport: DeviceReport{Problem: "gone"}}, true, 0, "blind; gone"},
		"verified":          {omemo.VerifiedMode, known(omemo.Verified), publishedDevice{key: keyOf('a')}, true, 0, "verified"},
		"distrusted":        {omemo.BlindMode, known(omemo.Distrusted), publishedDevice{key: keyOf('a')}, false, omemo.Revoked, "distrusted"},
		"changed":           {omemo.BlindMode, known(omemo.Verified), publishedDevice{key: keyOf('b')}, false, omemo.Changed, "another key than before"},
		"nothing to be had": {omemo.BlindMode, nil, publishedDevice{DeviceReport: DeviceReport{Problem: "gone"}}, false, 0, "gone"},
		"beside a verified": {omemo.BlindMode, append(known(omemo.Undecided), omemo.Device{ID: 2, Trust: omemo.Verified}), publishedDevice{key: keyOf('a')}, false, omemo.Unverified, "undecided"},
		"new beside a verified one": {
			omemo.BlindMode, []omemo.Device{{ID: 2, Trust: omemo.Verified}}, publishedDevice{key: keyOf('a')}, false, omemo.Unverified, "undecided, not used, new",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := tt.found
			d.ID = 1
			d.compare(tt.known, tt.mode)
			if d.Usable != tt.usable {
				t.Errorf("usable: %v", d.Usable)
			}
			err := d.refusal(who)
			var trust *omemo.TrustError
			if (err == nil) != tt.usable || errors.As(err, &trust) != (tt.kind != 0) || tt.kind != 0 && trust.Kind != tt.kind {
				t.Errorf("refusal: %v", err)
			}
			f := deviceFinding(&d, who.String(), false)
			if !strings.Contains(f.Text, tt.text) || (f.Status == StatusOK) != (tt.usable && d.Problem == "") {
				t.Errorf("finding: %+v", f)
			}
			if tt.kind != 0 && !strings.Contains(strings.Join(f.Hints, "\n"), "`jetsend trust verify a@b.example "+d.Fingerprint+"`") {
				t.Errorf("hints: %q", f.Hints)
			}
		})
	}
	d := publishedDevice{key: keyOf('a')}
	d.compare(nil, omemo.BlindMode)
	if f := deviceFinding(&d, "a@b.example", true); f.Status != StatusWarn || !strings.Contains(f.Hints[0], "trust verify a@b.example "+printOf('a')) {
		t.Errorf("a new device of a contact who is known: %+v", f)
	}
}

// TestParsePublished reads what anybody may have published.
func TestParsePublished(t *testing.T) {
	parse := func(text string) []*xmltree.Element {
		x, err := xmltree.Parse([]byte("<items xmlns='" + omemo.NS + "'>" + text + "</items>"))
		if err != nil {
			t.Fatal(err)
		}
		return x.Children
	}
	ids := parseDeviceIDs(parse("<item/><item><list><device id='1'/><device id=' 2 '/><device id='1'/><device id='0'/><device id='-1'/><device id='4294967296'/><device/></list></item>"))
	if len(ids) != 2 || ids[0] != 1 || ids[1] != 2 {
		t.Errorf("%v", ids)
	}
	if ids := parseDeviceIDs(parse("<item><list>" + strings.Repeat("<device id='7'/>", 3) + "</list></item>")); len(ids) != 1 {
		t.Errorf("%v", ids)
	}
	good := base64.StdEncoding.EncodeToString(keyOf('a'))
	bundle := func(identity string) string {
		return "<item><bundle><signedPreKeyPublic>x</signedPreKeyPublic><signedPreKeySignature>x</signedPreKeySignature>" + identity +
			"<prekeys><preKeyPublic/><preKeyPublic/></prekeys></bundle></item>"
	}
	k, n, err := parseIdentity(parse("<item/>" + bundle("<identityKey>"+good[:20]+"\n  "+good[20:]+"</identityKey>")))
	if err != nil || string(k) != string(keyOf('a')) || n != 2 {
		t.Errorf("%x %d %v", k, n, err)
	}
	for _, bad := range []string{
		"", "<item/>", bundle(""), bundle("<identityKey>!</identityKey>"), bundle("<identityKey>AAAA</identityKey>"),
		"<item><bundle><identityKey>" + good + "</identityKey></bundle></item>",
	} {
		if _, _, err := parseIdentity(parse(bad)); !errors.Is(err, errNoBundle) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestOwnFindings(t *testing.T) {
	own := OwnDeviceDetails{ID: 1, Listed: true, Bundle: true, Current: true, Prekeys: 100}
	if f := ownFinding(own); f.Status != StatusOK || f.Code != 0 || len(f.Hints) > 0 {
		t.Errorf("%+v", f)
	}
	own.Current = false
	if f := ownFinding(own); f.Status != StatusWarn || f.Code != 0 || len(f.Hints) == 0 {
		t.Errorf("%+v", f)
	}
	own.Listed = false
	if f := ownFinding(own); f.Status != StatusFail || f.Code != int(exitcode.Untrusted) {
		t.Errorf("%+v", f)
	}
	if f := othersFinding(DevicesDetails{make([]DeviceReport, manyDevices)}); f.Status != StatusWarn || len(f.Hints) == 0 {
		t.Errorf("%+v", f)
	}
}

func TestServerFindings(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	account := jid.MustParse("a@b.example")
	in := &session.Inspection{
		Asked: true, SRV: []session.SRV{{Service: "xmpp-client", SRV: net.SRV{Target: "x\u202e.b.example.", Port: 5222, Priority: 5, Weight: 1}}},
		Attempts: []session.Attempt{{Address: "old.b.example:5222", Err: errors.New("refused\x1b[2J")}, {Address: "x.b.example:5222"}},
		Link: &session.Link{
			Address: "x.b.example:5222", Remote: &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5222}, Direct: true,
			TLS: tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: []*x509.Certificate{{NotAfter: now.Add(24 * time.Hour)}}},
		},
		Mechanisms: []string{"SCRAM-SHA-256-PLUS", "EVIL\x1b[2J"}, Bindings: []string{"tls-exporter"}, Mechanism: "SCRAM-SHA-256-PLUS", Binding: "tls-exporter",
	}
	all := ServerFindings(in, account, "", now)
	want := []struct {
		check  string
		status Status
		text   string
	}{
		{"dns", StatusOK, "x\ufffd.b.example:5222 (xmpp-client)"},
		{"connect", StatusWarn, "(x.b.example:5222 answers ([2001:db8::1]:5222, ipv6); not old.b.example:5222: refused\ufffd[2J"},
		{"tls", StatusWarn, "TLS 1.3, direct, certificate until 2026-11-23, channel binding tls-exporter"},
		{"sasl", StatusOK, "offered: SCRAM-SHA-256-PLUS EVIL\ufffd[2J; used: SCRAM-SHA-256-PLUS with tls-exporter"},
	}
	if len(all) != len(want) {
		t.Fatalf("%+v", all)
	}
	for i, w := range want {
		if f := all[i]; f.Area != AreaServer || f.Check != w.check || f.Status != w.status || !strings.Contains(f.Text, strings.TrimPrefix(w.text, "(")) {
			t.Errorf("%+v", f)
		}
	}
	in.Attempts, in.Link.Remote = in.Attempts[1:], nil
	if f := connectFinding(in); f.Status != StatusOK || f.Text != "x.b.example:5222 answers through the proxy of `socks5`" {
		t.Errorf("%+v", f)
	}
	in.Link.TLS.PeerCertificates[0].NotAfter = now.Add(2 * certificateSoon)
	if f := tlsFinding(in, now); f.Status != StatusOK {
		t.Errorf("%+v", f)
	}
	for name, tt := range map[string]struct {
		in     session.Inspection
		server string
		status Status
		text   string
	}{
		"configured": {session.Inspection{}, "c.example:5222", StatusOK, "c.example:5222"},
		"proxy":      {session.Inspection{}, "", StatusOK, "not asked"},
		"none":       {session.Inspection{Asked: true}, "", StatusWarn, "no SRV records of b.example"},
		"no dns":     {session.Inspection{Asked: true, SRVErr: errors.New("timeout")}, "", StatusWarn, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			all := ServerFindings(&tt.in, account, tt.server, now)
			if f := all[0]; f.Status != tt.status || !strings.Contains(f.Text, tt.text) {
				t.Errorf("%+v", f)
			}
			if f := all[1]; len(all) != 2 || f.Status != StatusFail {
				t.Errorf("%+v", all)
			}
		})
	}
	plain := &session.Inspection{Mechanisms: []string{"PLAIN"}, Mechanism: "PLAIN"}
	if f := saslFinding(plain); f.Status != StatusWarn {
		t.Errorf("%+v", f)
	}
	plain.MechanismErr = session.ErrPlainOnly
	if f := saslFinding(plain); f.Status != StatusFail {
		t.Errorf("%+v", f)
	}
}

func TestMachineFindings(t *testing.T) {
	direct := CandidateInfo{Type: "direct", Host: "192.0.2.1", Port: 1}
	for _, tt := range []struct {
		offered []CandidateInfo
		route   route.Options
		proxied bool
		status  Status
		text    string
	}{
		{[]CandidateInfo{direct}, route.Options{}, false, StatusOK, "192.0.2.1"},
		{[]CandidateInfo{{Type: "proxy", Host: "192.0.2.2", Port: 1}}, route.Options{}, false, StatusWarn, "no address"},
		{[]CandidateInfo{{Type: "proxy", Host: "192.0.2.2", Port: 1}}, route.Options{}, true, StatusOK, "through the proxy of `socks5`"},
		{nil, route.Options{NoDirect: true}, false, StatusOK, "as it was asked for"},
		{nil, route.Options{Transports: []string{ibb.Name}}, false, StatusOK, "only in-band"},
	} {
		if f := candidatesFinding(tt.offered, tt.route, tt.proxied); f.Status != tt.status || !strings.Contains(f.Text, tt.text) {
			t.Errorf("%+v", f)
		}
	}
	for _, tt := range []struct {
		reports []ProxyReport
		status  Status
		text    string
	}{
		{nil, StatusWarn, "no SOCKS5 proxy"},
		{[]ProxyReport{{JID: "p", Host: "::1", Port: 7, Offered: true, Answers: true}, {JID: "q", Host: "h", Port: 8}}, StatusOK, "p at [::1]:7 answers; q at h:8 is not offered"},
		{[]ProxyReport{{JID: "p", Host: "h", Port: 7, Offered: true, Error: "refused"}}, StatusWarn, "does not answer: refused"},
	} {
		if f := proxiesFinding(tt.reports); f.Status != tt.status || !strings.Contains(f.Text, tt.text) {
			t.Errorf("%+v", f)
		}
	}
}

// TestTryProxy talks to listeners that answer in their own way.
func TestTryProxy(t *testing.T) {
	d := &doctor{account: session.New(session.Config{
		JID: jid.MustParse("a@b.example"), Password: func(context.Context) (string, error) { return "", nil },
	})}
	for answer, ok := range map[string]bool{"\x05\x00": true, "\x05\xff": false, "SSH-2.0": false, "": false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 3))
			_, _ = c.Write([]byte(answer))
			c.Close()
		}()
		if err := d.tryProxy(t.Context(), l.Addr().String()); (err == nil) != ok {
			t.Errorf("%q: %v", answer, err)
		}
		l.Close()
		<-done
		if err := d.tryProxy(t.Context(), l.Addr().String()); err == nil {
			t.Error("nobody answers")
		}
	}
}
