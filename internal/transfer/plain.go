package transfer

import (
	"context"
	"errors"
	"io"
	"net"

	"jetsend/internal/crypto"
	"jetsend/internal/omemo"
)

// Plain files: an offer of XEP-0234 without any envelope, as clients make and take
// it that have no encryption. Both ends do it only when their user says
// --insecure-plaintext. Nothing leads here from an encrypted form:
//
//   - an offer is without an envelope when its form is formInsecurePlaintext, which
//     EncryptionInsecurePlaintext alone asks for;
//   - one is taken when ReceiveOptions.InsecurePlaintext is set;
//   - bytes go out or come in as they are when talk.insecure is set, which
//     insecurely does. The transport secret of such a talk is of no suite, so
//     whatever would encrypt or seal with it is refused;
//   - its row in the journal belongs to journal.NoKey, so no other offer goes on
//     with it, and it with no other.

const (
	sendsPlaintext    = "the files go UNENCRYPTED: the servers, proxies and everybody on the way between can read and change them"
	receivesPlaintext = "files that are offered UNENCRYPTED are taken, too: the servers, proxies and everybody on the way between can read, change and forge them"
)

// insecurely makes the talk one without encryption.
func (t *talk) insecurely(sum *plainSum) {
	t.ts = crypto.NewSecret(formInsecurePlaintext.Suite(""))
	t.insecure, t.wire = sum, sum.wireSum
}

// undress makes the content that o is about to offer one without an envelope: it
// is one.
func (o *outgoing) undress() {
	o.env = &omemo.Envelope{}
	sum := newPlainSum(nil)
	sum.libervia = o.to.Software == libervia
	o.talk.insecurely(sum)
}

// insecureOut is streamOut without encryption.
func insecureOut(ctx context.Context, conn net.Conn, src io.Reader, size int64, unchanged func() error, limit *throttle, sum io.Writer, m *meter) error {
	return pumpOut(ctx, conn, &insecureWriter{w: &idleConn{Conn: conn}}, src, size, unchanged, limit, sum, m)
}

// insecureIn is streamIn without encryption. When it returns nil, so many bytes
// came, whatever they are.
func insecureIn(ctx context.Context, conn net.Conn, dst io.Writer, size int64, limit *throttle, sum io.Writer, m *meter) error {
	return pumpIn(ctx, conn, &insecureReader{&idleConn{Conn: conn}, size}, dst, limit, sum, m)
}

// insecureWriter hands bytes on as they are. It keeps the last one until Close, as
// an encrypter keeps the tag: a receiver that counts has not all of a file that
// turns out to have changed while it was sent.
type insecureWriter struct {
	w    io.Writer
	held []byte
}

// Write implements io.Writer.
func (w *insecureWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	w.held = append(w.held, p...)
	last := len(w.held) - 1
	if last > 0 {
		if _, err := w.w.Write(w.held[:last]); err != nil {
			return 0, err
		}
	}
	w.held = append(w.held[:0], w.held[last])
	return len(p), nil
}

// Close implements io.Closer. It does not close what is written to.
func (w *insecureWriter) Close() error {
	if len(w.held) == 0 {
		return nil
	}
	_, err := w.w.Write(w.held)
	w.held = nil
	return err
}

// insecureReader hands bytes on as they are, and says io.EOF when so many as were
// announced have come. Nothing behind them is looked at: not all clients end the
// stream there.
type insecureReader struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (r *insecureReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case r.left == 0:
		err = nil // it says so when it is asked again
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
