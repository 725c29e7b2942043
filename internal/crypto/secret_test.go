package crypto

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// mustSecret is SecretFrom for parameters that are right.
func mustSecret(t testing.TB, key, iv []byte) *Secret {
	t.Helper()
	suite := AES128GCM
	if len(key) == AES256GCM.KeySize() {
		suite = AES256GCM
	}
	s, err := SecretFrom(suite, key, iv)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewSecretIsFresh(t *testing.T) {
	a, b := NewSecret(AES256GCM), NewSecret(AES256GCM)
	if bytes.Equal(a.Key(), b.Key()) || bytes.Equal(a.IV(), b.IV()) {
		t.Error("two new secrets share a key or an IV")
	}
	if len(a.Key()) != 32 || len(a.IV()) != 12 || a.Suite() != AES256GCM {
		t.Errorf("key of %d, IV of %d bytes", len(a.Key()), len(a.IV()))
	}
	if bytes.Contains(a.Key(), a.IV()) || bytes.Equal(a.Key(), make([]byte, 32)) {
		t.Error("IV is part of the key, or the key is zero")
	}
}

func TestSecretSerialisation(t *testing.T) {
	for _, s := range []Suite{AES128GCM, AES256GCM} {
		a := NewSecret(s)
		text := a.Serialize()
		if !bytes.Equal(text, append(a.Key(), a.IV()...)) {
			t.Errorf("%s: %x is not key and IV", s.Name(), text)
		}
		b, err := ParseSecret(s, text)
		if err != nil {
			t.Fatal(err)
		}
		clear(text) // the parsed secret holds copies
		if !bytes.Equal(a.Key(), b.Key()) || !bytes.Equal(a.IV(), b.IV()) || b.Suite() != s {
			t.Errorf("%s: another secret came back", s.Name())
		}
		for n := range 64 {
			if _, err := ParseSecret(s, make([]byte, n)); (err == nil) != (n == s.KeySize()+12) {
				t.Errorf("%s: %d bytes: %v", s.Name(), n, err)
			} else if err != nil && !errors.Is(err, ErrSecretFormat) {
				t.Errorf("%s: %d bytes: %v is no ErrSecretFormat", s.Name(), n, err)
			}
		}
	}
	for _, text := range []string{"Meet me at the tomb at eight", "Réunion à midi,\r\n\tchez moi", "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="} {
		suite := map[int]Suite{28: AES128GCM, 44: AES256GCM}[len(text)]
		if s, err := ParseSecret(suite, []byte(text)); !errors.Is(err, ErrSecretFormat) {
			t.Errorf("%q is %v, %v", text, s, err)
		}
	}
	for _, b := range []byte{0x80, 0xff} { // nothing that a person writes, though no control character
		if _, err := ParseSecret(AES256GCM, bytes.Repeat([]byte{b}, 44)); err != nil {
			t.Errorf("a secret of bytes %x: %v", b, err)
		}
	}
	long, err := SecretFrom(AES128GCM, make([]byte, 16), make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	if b := long.Serialize(); b != nil {
		t.Errorf("an IV of 16 bytes was serialised: %x", b)
	}
}

func TestSecretFrom(t *testing.T) {
	for _, s := range []Suite{AES128GCM, AES256GCM} {
		for key := range 40 {
			for iv := range 20 {
				_, err := SecretFrom(s, make([]byte, key), make([]byte, iv))
				right := key == s.KeySize() && (iv == 12 || iv == 16)
				if right && err != nil || !right && !errors.Is(err, ErrSecretFormat) {
					t.Errorf("%s with a key of %d and an IV of %d: %v", s.Name(), key, iv, err)
				}
			}
		}
	}
	key, iv := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 12)
	s := mustSecret(t, key, iv)
	clear(key)
	clear(iv)
	clear(s.Key())
	clear(s.IV())
	if s.Key()[0] != 1 || s.IV()[0] != 2 {
		t.Error("the secret shares memory with its callers")
	}
}

func TestUnknownSuiteIsRefused(t *testing.T) {
	var none Suite
	if _, err := SecretFrom(none, nil, make([]byte, 12)); !errors.Is(err, ErrUnknownSuite) {
		t.Errorf("SecretFrom: %v", err)
	}
	if _, err := ParseSecret(none, make([]byte, 12)); !errors.Is(err, ErrUnknownSuite) {
		t.Errorf("ParseSecret: %v", err)
	}
	s := NewSecret(none)
	if err := useEverywhere(s); !errors.Is(err, ErrUnknownSuite) {
		t.Errorf("use: %v", err)
	}
	if b := s.Serialize(); b != nil {
		t.Errorf("serialised to %x", b)
	}
}

// useEverywhere puts a secret that must be refused to each of its uses. It
// joins their errors only if all have failed with the same.
func useEverywhere(s *Secret) error {
	_, e1 := NewEncrypter(io.Discard, s)
	_, e2 := NewDecrypter(strings.NewReader(""), s, 0)
	_, e3 := Seal(s, "accept", Context{}, nil)
	_, e4 := Open(s, "accept", Context{}, make([]byte, 28))
	for _, err := range []error{e1, e2, e3, e4} {
		if !errors.Is(err, errors.Unwrap(e1)) {
			return fmt.Errorf("not all refuse: %v, %v, %v, %v", e1, e2, e3, e4)
		}
	}
	return errors.Unwrap(e1)
}

func TestWipe(t *testing.T) {
	s := NewSecret(AES256GCM)
	key, iv := s.key, s.iv
	s.Wipe()
	s.Wipe()
	if !bytes.Equal(key, make([]byte, 32)) || !bytes.Equal(iv, make([]byte, 12)) {
		t.Error("Wipe left key or IV in memory")
	}
	if s.Key() != nil || s.IV() != nil || s.Serialize() != nil {
		t.Error("a wiped secret still gives something")
	}
	if err := useEverywhere(s); !errors.Is(err, ErrWiped) {
		t.Errorf("use after Wipe: %v", err)
	}
}

// A stream goes on after its secret was wiped.
func TestWipeUnderStream(t *testing.T) {
	s := NewSecret(AES128GCM)
	twin := mustSecret(t, s.Key(), s.IV())
	var wire bytes.Buffer
	e, err := NewEncrypter(&wire, s)
	if err != nil {
		t.Fatal(err)
	}
	s.Wipe()
	if _, err := e.Write([]byte("after the wipe")); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := NewDecrypter(&wire, twin, 14)
	if err != nil {
		t.Fatal(err)
	}
	twin.Wipe()
	if got, err := io.ReadAll(d); err != nil || string(got) != "after the wipe" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestSecretEncryptsOnce(t *testing.T) {
	s := NewSecret(AES128GCM)
	for range 2 { // decrypting spends nothing
		if _, err := NewDecrypter(strings.NewReader(""), s, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := NewEncrypter(io.Discard, s); err != nil {
		t.Fatal(err)
	}
	if _, err := NewEncrypter(io.Discard, s); !errors.Is(err, ErrReused) {
		t.Errorf("second Encrypter: %v", err)
	}
	if _, err := Seal(s, "accept", Context{}, nil); err != nil {
		t.Errorf("sealing after encryption: %v", err)
	}
	if _, err := NewDecrypter(strings.NewReader(""), s, 0); err != nil {
		t.Errorf("decrypting after encryption: %v", err)
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	key := bytes.Repeat([]byte{0xa5}, 32)
	s := mustSecret(t, key, bytes.Repeat([]byte{0x5a}, 12))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s)
	texts := []string{log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, s), fmt.Sprintf(verb, []*Secret{s}[0]))
	}
	for _, text := range texts {
		for _, leak := range []string{"a5a5", "A5A5", "165 165", "165, 165", "\xa5\xa5", "paWl", "5a5a", "90 90"} {
			if strings.Contains(text, leak) {
				t.Errorf("%q shows the secret", text)
			}
		}
	}
	if got := fmt.Sprintf("%#v", s); got != "crypto.Secret(aes-256-gcm)" {
		t.Errorf("printed as %q", got)
	}
	if got := fmt.Sprint((*Secret)(nil)); got != "<nil>" {
		t.Errorf("nil printed as %q", got)
	}
}

// Under the race detector this shows that a Secret may be shared.
func TestSecretIsShared(t *testing.T) {
	s := NewSecret(AES256GCM)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := Seal(s, "accept", Context{}, nil); err != nil && !errors.Is(err, ErrWiped) {
				t.Error(err)
			}
			s.Serialize()
			s.Wipe()
		})
	}
	wg.Wait()
}

// A secret that parses serialises to the same bytes.
func FuzzParseSecret(f *testing.F) {
	f.Add(false, make([]byte, 28))
	f.Add(true, make([]byte, 44))
	f.Add(true, []byte(nil))
	f.Fuzz(func(t *testing.T, big bool, b []byte) {
		suite := AES128GCM
		if big {
			suite = AES256GCM
		}
		s, err := ParseSecret(suite, b)
		if err != nil {
			if !errors.Is(err, ErrSecretFormat) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(s.Serialize(), b) {
			t.Fatalf("%x came back as %x", b, s.Serialize())
		}
	})
}
