package stun

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"testing"
)

// sample is the transaction id of the examples of RFC 5769.
func sample(t testing.TB) (id [12]byte) {
	t.Helper()
	b, err := hex.DecodeString("b7e7a701bc34d686fa87dfae")
	if err != nil {
		t.Fatal(err)
	}
	return [12]byte(b)
}

// TestVectors: the mapped addresses of RFC 5769, sections 2.2 and 2.3.
func TestVectors(t *testing.T) {
	for text, want := range map[string]string{
		"0020000800" + "01a147e112a643":                                 "192.0.2.1:32853",
		"0020001400" + "02a1470113a9faa5d3f179bc25f4b5bed2b9d9":         "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
		"8022000b7465737420766563746f7220" + "002000080001a147e112a643": "192.0.2.1:32853",
		"000100080001" + "8055c0000201":                                 "192.0.2.1:32853",
	} {
		body, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := address(body, sample(t))
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0020", "00200008000", "002000080003a147e112a643", "0020000800", "0001000400018055", "0020ffff0001"} {
		body, _ := hex.DecodeString(text)
		if got, err := address(body, sample(t)); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// TestAsk: an answer for another request, a long one, a cut one and none are errors.
func TestAsk(t *testing.T) {
	body, err := hex.DecodeString("002000080001a147e112a643")
	if err != nil {
		t.Fatal(err)
	}
	answer := func(ask []byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, success)
		b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
		return append(append(b, ask[4:20]...), body...)
	}
	for name, c := range map[string]struct {
		answer func(ask []byte) []byte
		good   bool
	}{
		"good":    {answer, true},
		"another": {func(ask []byte) []byte { b := answer(ask); b[19]++; return b }, false},
		"error":   {func(ask []byte) []byte { b := answer(ask); b[1] = 0x11; return b }, false},
		"long":    {func(ask []byte) []byte { b := answer(ask); b[2] = 0xff; return b }, false},
		"odd":     {func(ask []byte) []byte { b := answer(ask); b[3]--; return b }, false},
		"cut":     {func(ask []byte) []byte { return answer(ask)[:25] }, false},
		"nothing": {func([]byte) []byte { return nil }, false},
	} {
		ours, theirs := net.Pipe()
		go func() {
			ask := make([]byte, headerSize)
			_, _ = io.ReadFull(theirs, ask)
			_, _ = theirs.Write(c.answer(ask))
			_ = theirs.Close()
		}()
		got, err := Ask(t.Context(), ours)
		if (err == nil) != c.good || c.good && got.Addr().Is6() {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		_ = ours.Close()
	}
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Ask(ctx, ours); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzAddress: no answer brings more than an address or an error.
func FuzzAddress(f *testing.F) {
	f.Add([]byte{0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43})
	f.Add(bytes.Repeat([]byte{0, 1, 0, 0}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := address(b, sample(t))
		if (err == nil) != a.IsValid() {
			t.Errorf("%v, %v", a, err)
		}
	})
}
