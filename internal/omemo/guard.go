package omemo

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"sync"

	"go.mau.fi/libsignal/ecc"
	"go.mau.fi/libsignal/logger"
	"go.mau.fi/libsignal/protocol"
	"go.mau.fi/libsignal/serialize"
)

const (
	// publicKeySize is the length of a public key as libsignal serialises it:
	// a type byte and 32 bytes of Curve25519.
	publicKeySize = 33
	// keyType is the type byte: the only type there is.
	keyType = ecc.DjbType
	// signatureSize is the length of an XEdDSA signature.
	signatureSize = 64
	// ratchetBlock is the block size of the ratchet's cipher, AES-CBC.
	ratchetBlock = 16
)

// serializer writes protobuf on the wire and JSON for records.
var serializer = serialize.NewProtoBufSerializer()

// silenced makes sure that libsignal's logger, a global without a lock, is set
// once and before any goroutine of ours can use the library.
var silenced sync.Once

// silenceLibrary replaces libsignal's logger, which prints to standard output:
// what it prints holds keys and raw bytes of attackers, so nothing is kept.
func silenceLibrary() {
	silenced.Do(func() {
		var l logger.Loggable = silence{}
		logger.Setup(&l)
	})
}

// silence is a logger that drops everything.
type silence struct{}

// Debug drops a message.
func (silence) Debug(string, string) {}

// Info drops a message.
func (silence) Info(string, string) {}

// Warning drops a message.
func (silence) Warning(string, string) {}

// Error drops a message.
func (silence) Error(string, string) {}

// Configure does nothing.
func (silence) Configure(string) {}

// guard calls into libsignal and turns a panic into an error. The value of the
// panic is not shown: it may hold what the library was working on.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("libsignal panicked (%T)", r)
		}
	}()
	return f()
}

// checkPublic checks a serialised public key. libsignal's DecodePoint panics on
// an empty one, pads short ones and cuts long ones.
func checkPublic(b []byte) error {
	switch {
	case len(b) != publicKeySize:
		return fmt.Errorf("public key of %d bytes", len(b))
	case b[0] != keyType:
		return fmt.Errorf("public key of type %d", b[0])
	}
	return nil
}

// point returns a key that checkPublic has passed as libsignal wants it.
func point(b []byte) ecc.ECPublicKeyable {
	return ecc.NewDjbECPublicKey([publicKeySize - 1]byte(b[1:]))
}

// lowOrder reports whether a key that checkPublic has passed is one of the few
// points with which every key agreement gives zero. libsignal does not look.
func lowOrder(b []byte) bool {
	public, err := ecdh.X25519().NewPublicKey(b[1:])
	if err != nil {
		return true
	}
	// Any private key shows it: clamping makes it a multiple of the cofactor.
	private, err := ecdh.X25519().NewPrivateKey([]byte("jetsend looks for low orders...!"))
	if err != nil {
		return true
	}
	_, err = private.ECDH(public)
	return err != nil
}

// message is a ratchet message that was found well formed.
type message struct {
	prekey *protocol.PreKeySignalMessage // nil for an ordinary one
	signal *protocol.SignalMessage
}

// identityKey returns the key that a prekey message names, or nil.
func (m *message) identityKey() []byte {
	if m.prekey == nil {
		return nil
	}
	return m.prekey.IdentityKey().PublicKey().Serialize()
}

// parseMessage reads a ratchet message, with all the checks that libsignal
// leaves out: lengths, points, and a body that its cipher can take. Note that
// the library computes the MAC over its own re-serialisation, so that encodings
// of equal meaning pass for each other; each opens only once all the same.
func parseMessage(data []byte, prekey bool) (m *message, err error) {
	err = guard(func() error {
		if prekey {
			m, err = parsePrekeyMessage(data)
		} else {
			m, err = parseSignalMessage(data)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func parsePrekeyMessage(data []byte) (*message, error) {
	s, err := serializer.PreKeySignalMessage.Deserialize(data)
	if err != nil {
		return nil, errors.New("malformed prekey message")
	}
	if s.PreKeyID == nil || s.PreKeyID.IsEmpty || s.PreKeyID.Value == 0 {
		// Only a one-time prekey, which is deleted with the first message, keeps a
		// server from beginning the session with the same message again.
		return nil, errors.New("prekey message without a one-time prekey")
	}
	for _, key := range [][]byte{s.BaseKey, s.IdentityKey} {
		if err := checkPublic(key); err != nil {
			return nil, err
		}
		if lowOrder(key) {
			return nil, errors.New("key is a point of low order")
		}
	}
	m, err := parseSignalMessage(s.Message)
	if err != nil {
		return nil, err
	}
	if m.prekey, err = protocol.NewPreKeySignalMessageFromStruct(s, serializer.PreKeySignalMessage, serializer.SignalMessage); err != nil {
		return nil, err
	}
	m.signal = m.prekey.WhisperMessage()
	return m, nil
}

func parseSignalMessage(data []byte) (*message, error) {
	s, err := serializer.SignalMessage.Deserialize(data)
	if err != nil {
		return nil, errors.New("malformed message")
	}
	if err := checkPublic(s.RatchetKey); err != nil {
		return nil, err
	}
	if lowOrder(s.RatchetKey) {
		return nil, errors.New("key is a point of low order")
	}
	if n := len(s.CipherText); n == 0 || n%ratchetBlock != 0 {
		return nil, fmt.Errorf("body of %d bytes", n)
	}
	if len(s.Mac) != protocol.MacLength {
		return nil, fmt.Errorf("mac of %d bytes", len(s.Mac))
	}
	signal, err := protocol.NewSignalMessageFromStruct(s, serializer.SignalMessage)
	if err != nil {
		return nil, err
	}
	return &message{signal: signal}, nil
}
