package crypto

import (
	"errors"
	"strings"
	"testing"
)

func TestSuites(t *testing.T) {
	for _, tt := range []struct {
		suite     Suite
		short     string
		name      string
		key, text int
	}{
		{AES128GCM, "urn:xmpp:ciphers:aes-128-gcm-nopadding", "aes-128-gcm", 16, 28},
		{AES256GCM, "urn:xmpp:ciphers:aes-256-gcm-nopadding", "aes-256-gcm", 32, 44},
	} {
		if got := tt.suite.ShortURN(); got != tt.short {
			t.Errorf("ShortURN %q, want %q", got, tt.short)
		}
		if got := tt.suite.URN(); got != tt.short+":0" {
			t.Errorf("URN %q, want %q", got, tt.short+":0")
		}
		if got := tt.suite.Name(); got != tt.name {
			t.Errorf("Name %q, want %q", got, tt.name)
		}
		if got := tt.suite.KeySize(); got != tt.key {
			t.Errorf("KeySize %d, want %d", got, tt.key)
		}
		if got := len(NewSecret(tt.suite).Serialize()); got != tt.text {
			t.Errorf("a secret serialises to %d bytes, want %d", got, tt.text)
		}
		for _, urn := range []string{tt.suite.URN(), tt.suite.ShortURN()} {
			if got, err := ParseSuite(urn); err != nil || got != tt.suite {
				t.Errorf("ParseSuite(%q) = %v, %v", urn, got, err)
			}
		}
	}
}

func TestParseSuiteRefuses(t *testing.T) {
	for _, urn := range []string{
		"", ":0", "aes-256-gcm", "urn:xmpp:ciphers:aes-192-gcm-nopadding:0",
		"urn:xmpp:ciphers:aes-256-gcm-nopadding:1", "urn:xmpp:ciphers:aes-256-gcm-nopadding:0:0",
		"URN:xmpp:ciphers:aes-256-gcm-nopadding:0", "urn:xmpp:ciphers:aes-256-gcm-nopadding ",
		"urn:xmpp:ciphers:aes-256-cbc-pkcs7:0", "\u202e" + strings.Repeat("x", 1<<20),
	} {
		s, err := ParseSuite(urn)
		if !errors.Is(err, ErrUnknownSuite) || s != 0 {
			t.Errorf("ParseSuite(%.80q) = %v, %v", urn, s, err)
		}
		if len(err.Error()) > 200 || strings.Contains(err.Error(), "\u202e") {
			t.Errorf("the error carries the peer's text: %.100q", err)
		}
	}
	var none Suite
	if none.URN() != "" || none.ShortURN() != "" || none.Name() != "" || none.KeySize() != 0 {
		t.Error("the zero suite has properties")
	}
}
