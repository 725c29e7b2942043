package session

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// scramExchange is one SCRAM conversation (RFC 5802), with the checks that
// xdg-go/scram leaves to its caller.
type scramExchange struct {
	conv     *scram.ClientConversation
	nonce    string // ours
	answered bool   // the challenge was checked and answered
}

// newScram starts a conversation. The client behind it is kept, so that a
// later login with the same salt costs no key derivation.
func (s *Session) newScram(mech, password string, cb scram.ChannelBinding, serverHasPlus bool) (*scramExchange, error) {
	name, plus := strings.CutSuffix(strings.TrimPrefix(mech, "SCRAM-"), plusSuffix)
	c := s.scram[name]
	if c == nil {
		var hash scram.HashGeneratorFcn
		switch name {
		case "SHA-512":
			hash = scram.SHA512
		case "SHA-256":
			hash = scram.SHA256
		default:
			hash = scram.SHA1
		}
		var err error
		if c, err = hash.NewClient(s.cfg.JID.Local(), password, ""); err != nil {
			// SASLprep knows no character younger than Unicode 3.2. Servers that
			// accepted such a password did not prepare it either.
			if c, err = hash.NewClientUnprepped(s.cfg.JID.Local(), password, ""); err != nil {
				return nil, fmt.Errorf("password of %s: %w", s.cfg.JID, err)
			}
		}
		s.scram[name] = c.WithMinIterations(minIterations)
	}
	switch {
	case plus:
		return &scramExchange{conv: c.NewConversationWithChannelBinding(cb)}, nil
	case serverHasPlus:
		// "y" would say that we believe the server has no -PLUS: a downgrade.
		return &scramExchange{conv: c.NewConversation()}, nil
	}
	return &scramExchange{conv: c.NewConversationAdvertisingChannelBinding()}, nil
}

func (x *scramExchange) first() (data string, last bool, err error) {
	m, err := x.conv.Step("")
	if err != nil {
		return "", false, err
	}
	_, x.nonce, _ = strings.Cut(m, ",r=")
	return m, false, nil
}

func (x *scramExchange) respond(challenge string) (string, error) {
	if err := checkChallenge(challenge, x.nonce); err != nil {
		return "", err
	}
	m, err := x.conv.Step(challenge)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrChallenge, err)
	}
	x.answered = true
	return m, nil
}

func (x *scramExchange) finish(data string) error {
	if x.conv.Valid() && data == "" {
		return nil // proved in a challenge before
	}
	if !x.answered || x.conv.Done() { // else Step would take data for a challenge
		return ErrServerProof
	}
	if _, err := x.conv.Step(data); err != nil || !x.conv.Valid() {
		return ErrServerProof
	}
	return nil
}

// checkChallenge refuses what a hostile server could do harm with: an
// iteration count that takes hours or protects nothing, a missing salt, and a
// nonce to which the server added nothing of its own.
func checkChallenge(challenge, nonce string) error {
	f := strings.Split(challenge, ",")
	if len(f) < 3 {
		return ErrChallenge
	}
	r, okR := strings.CutPrefix(f[0], "r=")
	salt, okS := strings.CutPrefix(f[1], "s=")
	i, okI := strings.CutPrefix(f[2], "i=")
	if !okR || !okS || !okI {
		return ErrChallenge
	}
	if !strings.HasPrefix(r, nonce) || len(r) == len(nonce) {
		return fmt.Errorf("%w: nonce", ErrChallenge)
	}
	if b, err := base64.StdEncoding.DecodeString(salt); err != nil || len(b) == 0 {
		return fmt.Errorf("%w: salt", ErrChallenge)
	}
	n, err := strconv.ParseUint(i, 10, 31)
	if err != nil || n < minIterations || n > maxIterations {
		return fmt.Errorf("%w: %.20q iterations", ErrChallenge, i)
	}
	return nil
}
