package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/xdg-go/scram"

	"jetsend/internal/xmltree"
)

// nsFAST qualifies tokens in the place of a password (XEP-0484).
const nsFAST = "urn:xmpp:fast:0"

// maxToken bounds a token, in bytes.
const maxToken = 1024

// Token is what a server takes in the place of the password, from the user agent that it
// gave it to. It is a secret.
type Token struct {
	Secret    string
	Mechanism string // HT-<hash>-<binding> (draft-schmaus-kitten-sasl-ht)
	Expires   time.Time

	// Login is the mechanism of the password's login that it goes back to: a token is worth
	// no more than that.
	Login string
	// Server is the SHA-256 of the public key (RFC 5280 section 4.1.2.7) in the certificate of
	// the server that gave it, TLS the version that was spoken. Nobody with another key, and
	// nobody by an older version, gets to see what we make of it.
	Server [sha256.Size]byte
	TLS    uint16
}

// Tokens keeps the one token of a user agent. Its methods may take as long as a file does.
type Tokens interface {
	// Take returns the token and forgets it, nil when there is none: a token is used once.
	// With each login by it the server gives the next.
	Take(ctx context.Context) (*Token, error)
	// Keep keeps t in the place of another one.
	Keep(ctx context.Context, t *Token) error
}

// tokenMechanism is one by which a token proves who we are, bound to the channel of TLS or not.
type tokenMechanism struct {
	name string
	hash func() hash.Hash
	bind func(*tls.ConnectionState) (scram.ChannelBinding, error) // nil: not bound
}

// unbound is the end of the name of what binds to no channel.
const unbound = "-NONE"

// tokenMechanisms are those known here, best first.
func tokenMechanisms() (all []tokenMechanism) {
	bindings := []struct {
		name string
		bind func(*tls.ConnectionState) (scram.ChannelBinding, error)
	}{{"-EXPR", scram.NewTLSExporterBinding}, {"-ENDP", scram.NewTLSServerEndpointBinding}, {"-UNIQ", tlsUnique}, {unbound, nil}}
	for _, b := range bindings {
		all = append(all, tokenMechanism{"HT-SHA-512" + b.name, sha512.New, b.bind}, tokenMechanism{"HT-SHA-256" + b.name, sha256.New, b.bind})
	}
	return all
}

func tlsUnique(cs *tls.ConnectionState) (cb scram.ChannelBinding, err error) {
	if cs.Version != tls.VersionTLS12 || len(cs.TLSUnique) == 0 {
		return cb, fmt.Errorf("no tls-unique with %s", tls.VersionName(cs.Version))
	}
	return scram.NewTLSUniqueBinding(cs.TLSUnique), nil
}

// usable reports whether a token by m may stand for a login by mechanism login, on this
// connection: what was bound to its channel stays so.
func (m tokenMechanism) usable(login string, cs *tls.ConnectionState) (data []byte, ok bool) {
	if m.bind == nil {
		return nil, !strings.HasSuffix(login, plusSuffix)
	}
	cb, err := m.bind(cs)
	return cb.Data, err == nil
}

// byToken begins an exchange by a token, when there is one that this server may see and
// that is worth as much as the password's login would be, and asks for the next. The
// exchange is nil when there is none.
func (s *Session) byToken(ctx context.Context, o offer, in *admission, cs *tls.ConnectionState) (name string, x exchange) {
	if s.cfg.Tokens == nil || s.cfg.UserAgent == "" || s.tokenless || s.careful || len(o.inline.tokens) == 0 {
		return "", nil
	}
	t, err := s.cfg.Tokens.Take(ctx)
	if err != nil {
		s.log.Warn("token of the login", "error", err) // the password is as good
		return "", nil
	}
	if t != nil && !s.cfg.ByPassword && o.takes(t, in.mech, cs) {
		if x = t.exchange(s.cfg.JID.Local(), cs); x != nil {
			in.mech, s.attempt.token = t.Login, true
			in.add(xmltree.New(nsFAST, "fast"))
		}
	}
	s.attempt.hurried = true
	for _, m := range tokenMechanisms() {
		if _, ok := m.usable(in.mech, cs); ok && slices.Contains(o.inline.tokens, m.name) {
			in.tokens = m.name
			in.add(xmltree.New(nsFAST, "request-token").Set("mechanism", m.name))
			break
		}
	}
	if x == nil {
		return "", nil
	}
	return t.Mechanism, x
}

// takes reports whether a token may be shown to the server that made the offer, in the
// place of a login by mech.
func (o offer) takes(t *Token, mech string, cs *tls.ConnectionState) bool {
	return slices.Contains(o.inline.tokens, t.Mechanism) && time.Now().Before(t.Expires) &&
		better(t.Login, mech) == t.Login && t.Server == serverKey(cs) && cs.Version >= t.TLS
}

// serverKey is the key of [Token.Server].
func serverKey(cs *tls.ConnectionState) [sha256.Size]byte {
	return sha256.Sum256(cs.PeerCertificates[0].RawSubjectPublicKeyInfo)
}

// exchange is the proof of the token, nil for a mechanism that this connection does not allow.
func (t *Token) exchange(user string, cs *tls.ConnectionState) exchange {
	all := tokenMechanisms()
	i := slices.IndexFunc(all, func(m tokenMechanism) bool { return m.name == t.Mechanism })
	if i < 0 {
		return nil
	}
	data, ok := all[i].usable(t.Login, cs)
	if !ok {
		return nil
	}
	return tokenExchange{user: user, secret: t.Secret, binding: data, hash: all[i].hash}
}

// tokenExchange is draft-schmaus-kitten-sasl-ht section 3: one message each way, by which
// each end proves that it has the token.
type tokenExchange struct {
	user, secret string
	binding      []byte
	hash         func() hash.Hash
}

func (x tokenExchange) mac(who string) string {
	h := hmac.New(x.hash, []byte(x.secret))
	_, _ = h.Write(append([]byte(who), x.binding...)) // never fails
	return string(h.Sum(nil))
}

func (x tokenExchange) first() (data string, last bool, err error) {
	return x.user + "\x00" + x.mac("Initiator"), true, nil
}

func (x tokenExchange) respond(string) (string, error) { return "", ErrChallenge }

func (x tokenExchange) finish(data string) error {
	if !hmac.Equal([]byte(data), []byte(x.mac("Responder"))) {
		return ErrServerProof
	}
	return nil
}

// keepToken keeps the token that came with a login. What the server gave without being
// asked, or what is none, is left.
func (s *Session) keepToken(ctx context.Context, t *transport, in *admission) {
	el := in.success.Child(nsFAST, "token")
	if el == nil || in.tokens == "" {
		return
	}
	cs := t.tls.ConnectionState()
	expires, err := time.Parse(time.RFC3339, el.Attr("expiry"))
	secret := el.Attr("token")
	if err != nil || secret == "" || len(secret) > maxToken {
		s.log.Debug("the server gave a token that is none")
		return
	}
	err = s.cfg.Tokens.Keep(ctx, &Token{
		Secret: secret, Mechanism: in.tokens, Expires: expires, Login: in.mech, Server: serverKey(&cs), TLS: cs.Version,
	})
	if err != nil {
		s.log.Warn("token of the login", "error", err)
	}
}

// Revoke has the server forget the token of a user agent, if there is one (XEP-0484
// section 3.5). It goes online for that and no further. cfg.Password is not asked.
func Revoke(ctx context.Context, cfg Config) error {
	s := New(cfg)
	defer s.cancel()
	if s.err0 != nil {
		return s.err0
	}
	token, err := s.cfg.Tokens.Take(ctx)
	if err != nil || token == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.loginMax/2)
	defer cancel()
	t, features, err := s.reach(ctx, nil)
	if err != nil {
		return errors.Join(fmt.Errorf("give back what logs in without the password: %w", err), s.cfg.Tokens.Keep(ctx, token))
	}
	defer t.hangUp()
	defer context.AfterFunc(ctx, func() { _ = t.abort() })()
	o, cs := ways(features), t.tls.ConnectionState()
	x := token.exchange(s.cfg.JID.Local(), &cs)
	if x == nil || !o.takes(token, token.Login, &cs) {
		return nil // what the server no longer takes needs no end
	}
	in := &admission{space: o.space}
	in.add(xmltree.New(nsSASL2, "user-agent").Set("id", s.cfg.UserAgent))
	in.add(xmltree.New(nsFAST, "fast").Set("invalidate", "true"))
	t.answerWithin(s.answerMax)
	var refused *AuthError
	if _, err = s.runSASL(t, in, token.Mechanism, x); err != nil && !errors.As(err, &refused) {
		return s.loginError(ctx, err)
	}
	return nil // refused, it is worth nothing either
}
