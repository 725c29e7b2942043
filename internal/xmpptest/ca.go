package xmpptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// certLifetime is how long the certificates of the harness are valid: longer
// than any test, short enough that a leaked key is worth nothing.
const certLifetime = 48 * time.Hour

// CA is a certificate authority made for one test. Only who is given its
// certificate trusts it; it is never put into a system store.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes a certificate authority with a fresh key.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make ca key: %w", err)
	}
	tmpl := template("jetsend test authority")
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make ca certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back ca certificate: %w", err)
	}
	return &CA{cert: cert, key: key}, nil
}

// Leaf makes a server certificate for the DNS names, valid now and until
// notAfter; a zero notAfter means long enough for any test.
func (ca *CA) Leaf(notAfter time.Time, names ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make leaf key: %w", err)
	}
	tmpl := template("jetsend test server")
	tmpl.DNSNames = names
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if !notAfter.IsZero() {
		tmpl.NotBefore, tmpl.NotAfter = notAfter.Add(-certLifetime), notAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make leaf certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key}, nil
}

// Pool returns a pool that holds this authority and nothing else.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// PEM returns the certificate of the authority, PEM encoded.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

func template(name string) *x509.Certificate {
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails, see crypto/rand.Read
	serial[0] &= 0x7f        // RFC 5280 section 4.1.2.2: positive, at most 20 octets
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(certLifetime),
	}
}

// WriteIdentity makes an authority, and writes its certificate to caFile, and key and
// certificate of a server with these names into one file.
func WriteIdentity(file, caFile string, names ...string) error {
	ca, err := NewCA()
	if err != nil {
		return err
	}
	leaf, err := ca.Leaf(time.Time{}, names...)
	if err != nil {
		return err
	}
	chain, key, err := encode(leaf)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(key, chain...), 0o600); err != nil {
		return fmt.Errorf("write key and certificate: %w", err)
	}
	if err := os.WriteFile(caFile, ca.PEM(), 0o644); err != nil {
		return fmt.Errorf("write ca: %w", err)
	}
	return nil
}

// encode returns certificate and key as PEM.
func encode(c tls.Certificate) (chain, key []byte, err error) {
	for _, der := range c.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("encode private key: %w", err)
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// writeKeyPair writes cert.pem and key.pem of a certificate into dir.
func writeKeyPair(dir string, c tls.Certificate) error {
	chain, key, err := encode(c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), chain, 0o600); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), key, 0o600); err != nil {
		return fmt.Errorf("write private key: %w", err)
	}
	return nil
}
