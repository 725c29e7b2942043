package session

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	xmpp "gosrc.io/xmpp"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/xmltree"
)

// alpnClient is the protocol name for direct TLS (XEP-0368).
const alpnClient = "xmpp-client"

// readBuffer holds what has arrived; a TLS record is at most 16 KiB.
const readBuffer = 32 << 10

// transport is one TCP connection to a server, encrypted before anything but
// the stream header and <starttls/> is sent. It implements xmpp.Transport.
//
// Reading belongs to one goroutine. Writing, Close and abort may be called
// from any.
type transport struct {
	cfg    xmpp.TransportConfiguration // Address, Domain and TLSConfig are used
	direct bool                        // TLS from the first byte
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	// ctx bounds Connect and StartTLS, whose signatures are given by the interface.
	ctx context.Context

	start    time.Time
	lastRead atomic.Int64 // nanoseconds after start of the latest bytes

	connMu sync.Mutex
	raw    net.Conn // the TCP connection; closing it unblocks everything
	dead   bool

	writeMu sync.Mutex
	conn    net.Conn // raw or tls
	tls     *tls.Conn
	br      *bufio.Reader
	dec     *decoder
	log     io.Writer

	from      string               // who we are, said on encrypted streams only
	closeMax  time.Duration        // for our last words, closeWrite; longer in tests
	roster    func(id string) bool // see decoder
	closeOnce sync.Once
	finalOnce sync.Once
	endOnce   sync.Once
	peerEnd   chan struct{} // closed when the peer has ended the stream
}

func newTransport(ctx context.Context, cfg xmpp.TransportConfiguration, direct bool,
	dial func(ctx context.Context, network, address string) (net.Conn, error)) *transport {
	return &transport{
		cfg: cfg, direct: direct, dial: dial, ctx: ctx, start: time.Now(), closeMax: closeWrite, peerEnd: make(chan struct{}),
	}
}

// Connect dials, encrypts if that comes first, and opens the stream. It
// returns the id of the stream.
func (t *transport) Connect() (string, error) {
	c, err := t.dial(t.ctx, "tcp", t.cfg.Address)
	if err != nil {
		return "", err
	}
	c = &watchedConn{Conn: quickAck(c), t: t}
	t.connMu.Lock()
	t.raw = c
	dead := t.dead
	t.connMu.Unlock()
	if dead {
		_ = c.Close()
		return "", net.ErrClosed
	}
	t.lastRead.Store(int64(time.Since(t.start)))
	t.setConn(c)
	if t.direct {
		if err := t.handshake([]string{alpnClient}); err != nil {
			return "", err
		}
	}
	return t.StartStream()
}

func (t *transport) setConn(c net.Conn) {
	t.writeMu.Lock()
	t.conn = c
	t.writeMu.Unlock()
	t.br = bufio.NewReaderSize(c, readBuffer)
	t.dec = newDecoder(t.br)
}

// handshake makes the connection a TLS one and checks the certificate against
// the domain of the account.
func (t *transport) handshake(alpn []string) error {
	cfg := t.cfg.TLSConfig.Clone()
	cfg.NextProtos = alpn // an answer is not required: Prosody gives none
	tc := tls.Client(t.conn, cfg)
	if err := tc.HandshakeContext(t.ctx); err != nil {
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) {
			return &CertificateError{Domain: t.cfg.Domain, Err: cert.Err}
		}
		return fmt.Errorf("tls handshake: %w", err)
	}
	t.tls = tc
	t.setConn(tc)
	return nil
}

// DoesStartTLS reports whether encryption is still to be asked for.
func (t *transport) DoesStartTLS() bool { return t.tls == nil }

// StartTLS encrypts the connection after <proceed/>. Bytes that have come
// after it in the clear may be anybody's: they end the connection.
func (t *transport) StartTLS() error {
	if t.br.Buffered() > 0 {
		return errors.New("unencrypted data after the start of encryption")
	}
	return t.handshake(nil)
}

// IsSecure reports whether the connection is encrypted and the server's identity proved.
func (t *transport) IsSecure() bool { return t.tls != nil }

// StartStream sends our stream header and reads the peer's. It returns the
// id of the stream.
func (t *transport) StartStream() (string, error) { return t.startStream(nil) }

// startStream is StartStream with what goes out in the same write as the header.
func (t *transport) startStream(more []byte) (string, error) {
	t.dec = newDecoder(t.br)
	t.dec.roster = t.roster
	b := []byte(`<?xml version='1.0'?><stream:stream to='`)
	b = xmltree.AppendEscaped(b, t.cfg.Domain)
	if t.from != "" && t.IsSecure() { // RFC 6120 section 4.7.1
		b = append(b, `' from='`...)
		b = xmltree.AppendEscaped(b, t.from)
	}
	b = append(b, `' version='1.0' xml:lang='en' xmlns='`+gstanza.NSClient+`' xmlns:stream='`+gstanza.NSStream+`'>`...)
	if _, err := t.Write(append(b, more...)); err != nil {
		return "", err
	}
	h, err := t.dec.open()
	if err != nil {
		return "", err
	}
	if !h.Is(gstanza.NSStream, "stream") {
		return "", errors.New("the answer is not that of an xmpp server")
	}
	return h.Attr("id"), nil
}

// answerWithin has reading fail when nothing has come for so long, counted from now; 0 is
// no such limit.
func (t *transport) answerWithin(d time.Duration) {
	t.connMu.Lock()
	defer t.connMu.Unlock()
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	_ = t.raw.SetReadDeadline(at) // on a connection that is gone reading fails anyway
}

// next returns the next element of the stream.
func (t *transport) next() (frame, error) { return t.dec.next() }

// GetDecoder returns the decoder of the stream.
func (t *transport) GetDecoder() *xml.Decoder { return t.dec.xml }

// Read reads decrypted bytes past the decoder.
func (t *transport) Read(p []byte) (int, error) { return t.br.Read(p) }

// Write sends p, for at most writeTimeout.
func (t *transport) Write(p []byte) (int, error) {
	t.writeMu.Lock()
	defer t.writeMu.Unlock()
	if t.conn == nil {
		return 0, net.ErrClosed
	}
	t.connMu.Lock()
	if !t.dead { // else a deadline is set already and must stay
		_ = t.raw.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	t.connMu.Unlock()
	if t.log != nil {
		fmt.Fprintf(t.log, "write %d bytes\n", len(p))
	}
	return t.conn.Write(p)
}

// LogTraffic logs the sizes of writes to w: what is in them is not for logs.
// Stanzas are traced, with their secrets removed, by the session.
func (t *transport) LogTraffic(w io.Writer) { t.log = w }

// Ping sends a white space, which keeps the connection in the tables of
// routers. Whether the peer lives it does not tell.
func (t *transport) Ping() error {
	_, err := t.Write([]byte(" "))
	return err
}

// silence returns for how long nothing has been received.
func (t *transport) silence() time.Duration {
	return time.Since(t.start) - time.Duration(t.lastRead.Load())
}

// remoteAddr returns the address of the TCP peer, or nil.
func (t *transport) remoteAddr() net.Addr {
	t.connMu.Lock()
	defer t.connMu.Unlock()
	if t.raw == nil {
		return nil
	}
	return t.raw.RemoteAddr()
}

// ReceivedStreamClose tells Close that the peer has ended its side.
func (t *transport) ReceivedStreamClose() { t.endOnce.Do(func() { close(t.peerEnd) }) }

// lastWords cuts whatever is being written now and later to closeWrite.
func (t *transport) lastWords() {
	t.connMu.Lock()
	defer t.connMu.Unlock()
	t.dead = true
	if t.raw != nil {
		_ = t.raw.SetWriteDeadline(time.Now().Add(t.closeMax))
	}
}

// Close ends the stream, waits a moment for the peer to do so, and closes the
// connection. It takes at most closeWrite and closeWait together.
func (t *transport) Close() error {
	var err error
	t.closeOnce.Do(func() {
		t.lastWords()
		if werr := t.endStream(nil); werr == nil {
			wait := time.NewTimer(closeWait)
			select {
			case <-t.peerEnd:
			case <-wait.C:
			}
			wait.Stop()
		}
		err = t.abort()
	})
	return err
}

// endStream sends last and the end tag of our stream, once.
func (t *transport) endStream(last []byte) error {
	var err error
	t.finalOnce.Do(func() { _, err = t.Write(append(last, gstanza.StreamClose...)) })
	return err
}

// hangUp ends the stream without waiting for the peer.
func (t *transport) hangUp() {
	t.lastWords()
	_ = t.endStream(nil) // a courtesy
	_ = t.abort()
}

// abort drops the connection at once. Everything that waits on it returns.
func (t *transport) abort() error {
	t.connMu.Lock()
	defer t.connMu.Unlock()
	t.dead = true
	t.ReceivedStreamClose()
	if t.raw == nil {
		return nil
	}
	return t.raw.Close()
}

// watchedConn notes when bytes arrive.
type watchedConn struct {
	net.Conn
	t *transport
}

// Read implements net.Conn.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.t.lastRead.Store(int64(time.Since(c.t.start)))
	}
	return n, err
}
