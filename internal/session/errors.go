package session

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Errors to be told apart with errors.Is.
var (
	// ErrSessionLost: the connection ended while something waited for it.
	ErrSessionLost = errors.New("connection to the server lost")
	// ErrClosed: the Session was closed by Close, or never started.
	ErrClosed = errors.New("session closed")
	// ErrPlaintext: the server offers no encryption; nothing was sent to it.
	ErrPlaintext = errors.New("the server offers no encryption")
	// ErrPlainOnly: the server offers PLAIN, which was not allowed.
	ErrPlainOnly = errors.New("the server takes the password only as plain text inside TLS (PLAIN), which is not allowed")
	// ErrNoMechanism: no login method in common.
	ErrNoMechanism = errors.New("the server offers no login method that jetsend knows")
	// ErrDowngrade: weaker login methods than before.
	ErrDowngrade = errors.New("the server offers only weaker login methods than it did before")
	// ErrServerProof: the server did not prove that it knows the password.
	ErrServerProof = errors.New("the server could not prove that it knows the password")
	// ErrChallenge: a SCRAM challenge outside of what is sane and safe.
	ErrChallenge = errors.New("the server sent an unacceptable login challenge")
	// ErrStanzaTooBig: a stanza above the limits, in or out; an iq whose answer was one.
	ErrStanzaTooBig = errors.New("stanza too big")
	// ErrBusy: too many iq round trips at one time.
	ErrBusy = errors.New("too many requests at one time")
	// ErrStreamEnd: the server ended the stream in an orderly way.
	ErrStreamEnd = errors.New("stream closed by the server")
	// ErrSilent: the server did not answer a ping.
	ErrSilent = errors.New("the server does not answer")
)

// AuthError is a refused login: by the server (Condition is its SASL
// condition), or by us (Err is one of the sentinels above). Trying again with
// the same settings is of no use unless Temporary.
type AuthError struct {
	Mechanism string // what was tried, "" when it did not get that far
	Condition string // RFC 6120 section 6.5, "" when we refused
	Text      string // the server's own words; clean before display
	Err       error  // our own reason, or nil
}

// Error implements error, in words that a user understands.
func (e *AuthError) Error() string {
	if e.Err != nil {
		return "login refused: " + e.Err.Error()
	}
	return "login refused: " + saslWords(e.Condition)
}

// Unwrap returns our own reason, if any.
func (e *AuthError) Unwrap() error { return e.Err }

// Temporary reports whether the server asked to try again later.
func (e *AuthError) Temporary() bool { return e.Condition == "temporary-auth-failure" }

func saslWords(condition string) string {
	switch condition {
	case "not-authorized":
		return "wrong password or unknown account"
	case "account-disabled":
		return "the account is disabled"
	case "credentials-expired":
		return "the password has expired"
	case "temporary-auth-failure":
		return "the server cannot check passwords at the moment"
	case "encryption-required":
		return "the server demands encryption"
	case "invalid-mechanism", "mechanism-too-weak":
		return "the server does not take this login method (" + condition + ")"
	case "":
		return "no reason given"
	}
	return "the server says " + condition
}

// CertificateError is a server certificate that does not prove the domain.
type CertificateError struct {
	Domain string
	Err    error // from crypto/x509
}

// Error implements error, in words that a user understands.
func (e *CertificateError) Error() string {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(e.Err, &host):
		return fmt.Sprintf("the server's certificate is not for %s", e.Domain)
	case errors.As(e.Err, &unknown):
		return fmt.Sprintf("the server's certificate for %s is signed by an unknown authority", e.Domain)
	case errors.As(e.Err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the server's certificate for %s has expired or is not yet valid", e.Domain)
	}
	return fmt.Sprintf("the server's certificate for %s is not valid: %v", e.Domain, e.Err)
}

// Unwrap returns the error of crypto/x509.
func (e *CertificateError) Unwrap() error { return e.Err }

// UnreachableError says that no server of the domain could be talked to: no
// such name, nothing listening, no answer in time, or no TLS.
type UnreachableError struct {
	Domain string
	Errs   []error // one for each address tried
}

// Error implements error.
func (e *UnreachableError) Error() string {
	var why []string
	for _, err := range e.Errs {
		if text := Plainly(err); !slices.Contains(why, text) { // one name has several ports
			why = append(why, text)
		}
	}
	return fmt.Sprintf("no server of %s reachable: %s", e.Domain, strings.Join(why, "; "))
}

// Plainly is what an error of the network means, without the names of calls and of the
// machine's own name servers.
func Plainly(err error) string {
	var name *net.DNSError
	if !errors.As(err, &name) {
		return err.Error()
	}
	switch {
	case name.IsNotFound:
		return "there is no host " + name.Name
	case name.IsTimeout:
		return "the name server does not answer about " + name.Name
	}
	return "look up " + name.Name + ": " + name.Err
}

// Unwrap returns the error of each address tried.
func (e *UnreachableError) Unwrap() []error { return e.Errs }

// StreamError is the error with which the server ended the stream (RFC 6120
// section 4.9).
type StreamError struct {
	Condition string
	Text      string // the server's own words; clean before display

	proved bool    // the server had proved who it is
	other  *target // where it sends us, if it had
}

// Error implements error.
func (e *StreamError) Error() string {
	switch e.Condition {
	case "conflict":
		return "the server ended the connection: another program uses the same resource"
	case "host-unknown":
		return "the server does not serve this domain"
	case "system-shutdown":
		return "the server is shutting down"
	}
	return "the server ended the connection: " + e.Condition
}
