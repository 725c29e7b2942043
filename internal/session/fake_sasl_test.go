package session

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/xdg-go/scram"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/xmltree"
)

// challenge and success in base64.
func (c *fakeConn) challenge(s string) {
	c.say("<challenge xmlns='" + gstanza.NSSASL + "'>" + base64.StdEncoding.EncodeToString([]byte(s)) + "</challenge>")
}

func (c *fakeConn) success(s string) {
	c.say("<success xmlns='" + gstanza.NSSASL + "'>" + base64.StdEncoding.EncodeToString([]byte(s)) + "</success>")
}

func (c *fakeConn) fail(condition string) bool {
	c.say("<failure xmlns='" + gstanza.NSSASL + "'><" + condition + "/><text>sorry</text></failure>")
	for c.hear() != nil {
	}
	return false
}

func saslData(el *xmltree.Element) string {
	b, _ := base64.StdEncoding.DecodeString(el.Text)
	return string(b)
}

// sasl is an honest server's side of SCRAM and PLAIN.
func (c *fakeConn) sasl() bool {
	auth := c.hear()
	if auth == nil {
		return false
	}
	mech := auth.Attr("mechanism")
	if mech == mechPlain {
		if saslData(auth) != "\x00juliet\x00"+fakePassword {
			return c.fail("not-authorized")
		}
		c.say("<success xmlns='" + gstanza.NSSASL + "'/>")
		return true
	}
	conv := c.conversation(mech)
	m, err := conv.Step(saslData(auth))
	if err != nil {
		return c.fail("malformed-request")
	}
	c.challenge(m)
	resp := c.hear()
	if resp == nil || resp.Name.Local != "response" {
		return false
	}
	if m, err = conv.Step(saslData(resp)); err != nil {
		return c.fail("not-authorized")
	}
	c.success(m)
	return true
}

func (c *fakeConn) conversation(mech string) *scram.ServerConversation {
	hash := scram.SHA1
	switch {
	case strings.Contains(mech, "SHA-256"):
		hash = scram.SHA256
	case strings.Contains(mech, "SHA-512"):
		hash = scram.SHA512
	}
	user, err := hash.NewClient("juliet", fakePassword, "")
	if err != nil {
		panic(err)
	}
	stored := user.GetStoredCredentials(scram.KeyFactors{Salt: "saltsalt", Iters: c.f.iterations}) //nolint:staticcheck // the other form returns the same
	srv, err := hash.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
	if err != nil {
		panic(err)
	}
	if !slices.ContainsFunc(c.f.mechanisms, func(m string) bool { return strings.HasSuffix(m, plusSuffix) }) {
		return srv.NewConversation()
	}
	cs := c.Conn.(*tls.Conn).ConnectionState()
	cb := scram.NewTLSUniqueBinding(cs.TLSUnique)
	switch {
	case slices.Contains(c.f.bindings, "tls-exporter"):
		cb, err = scram.NewTLSExporterBinding(&cs)
	case slices.Contains(c.f.bindings, "tls-server-end-point"):
		cs.PeerCertificates = []*x509.Certificate{c.leaf()}
		cb, err = scram.NewTLSServerEndpointBinding(&cs)
	}
	if err != nil {
		panic(err)
	}
	return srv.NewConversationWithChannelBinding(cb)
}

func (c *fakeConn) leaf() *x509.Certificate {
	cert, err := x509.ParseCertificate(c.f.cert.Certificate[0])
	if err != nil {
		panic(err)
	}
	return cert
}
