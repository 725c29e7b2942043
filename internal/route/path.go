package route

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"jetsend/internal/jingle"
	"jetsend/internal/stream"
)

const (
	// LateAcks is how long, after the receiver's success, what it has not acknowledged
	// of an in-band stream may still be: Conversations says success before it
	// acknowledges the last block.
	LateAcks = 2 * time.Second
	// writtenBack is what Dino writes back under JET: the tag of an empty message.
	writtenBack = 16
	// settleTime bounds the wait for it.
	settleTime = 2 * time.Second
)

// Path is a way for the bytes of a file that stands: a bytestream of the session. One
// goroutine reads or writes it; the other methods may be called from any.
type Path struct {
	stream.Conn
	// Transport is S5B or IBB.
	Transport string
	// Candidate is direct or proxy, of S5B.
	Candidate string
	// Way is what made a direct candidate possible, as [s5b.Conn] has it.
	Way string
	// SID is that of the bytestream, in the transport that was agreed on last: the same at
	// both ends. Of a path that no [Route] has found it is empty.
	SID string
	// Ends says that the other side sees the end of our half, and we that of its half,
	// with nothing lost before it.
	Ends bool

	// back is closed when what the receiver writes back has come, or nothing will; nil:
	// nobody waits for it.
	back    chan struct{}
	reading sync.WaitGroup // of what is written back
	// handed says that the last byte is in the hands of an in-band path.
	handed *atomic.Bool
}

// Socket makes the path of a connection of its own.
func Socket(conn stream.Conn, candidate string, ends bool) *Path {
	return &Path{Conn: conn, Transport: S5B, Candidate: candidate, Ends: ends}
}

// Inband makes the path of a bytestream within the stream to the server.
func Inband(conn stream.Conn) *Path {
	return &Path{Conn: conn, Transport: IBB, Ends: true, handed: new(atomic.Bool)}
}

// Outgoing returns how a file is sent over the path.
func (p *Path) Outgoing(o stream.Options) stream.Outgoing {
	out := stream.Outgoing{Options: o, Last: p.handOver}
	if p.Transport == IBB {
		out.Unit = stream.InbandUnit
	}
	return out
}

// Tap returns the path with everything that is read and written given to w on its way.
// Bytes that are read back are not.
func (p *Path) Tap(w io.Writer) *Path {
	return &Path{Conn: stream.Tap(p, w), Transport: p.Transport, Candidate: p.Candidate, Way: p.Way, SID: p.SID, Ends: p.Ends, handed: p.handed}
}

// handOver says that what is written next is the last of the file.
func (p *Path) handOver() {
	if p.handed != nil {
		p.handed.Store(true)
	}
}

// HandedOver reports whether all of a file that is sent in-band is under way, so that
// the receiver may say success before it has acknowledged it.
func (p *Path) HandedOver() bool { return p.handed != nil && p.handed.Load() }

// Settling reports whether acknowledgements may follow the end of the session, for
// [LateAcks]: all of the file is under way in-band, and the peer says that it has it.
func (p *Path) Settling(end jingle.Reason, byPeer bool) bool {
	return p.HandedOver() && byPeer && end.Condition == jingle.Success
}

// ReadBack reads and drops what a receiver writes back, until the path is closed: Dino
// sends 16 bytes that mean nothing, and closing a socket with unread bytes resets it.
// It is to be called once, by who sends. With expected, [Path.BeforeEnd] waits for it
// where a proxy can lose data when both directions end at once.
func (p *Path) ReadBack(expected bool) {
	back := make(chan struct{})
	if expected && p.Transport == S5B && !p.Ends {
		p.back = back
	}
	p.reading.Go(func() {
		_, _ = io.CopyN(io.Discard, p.Conn, writtenBack)
		close(back)
		_, _ = io.Copy(io.Discard, p.Conn)
	})
}

// BeforeEnd waits until it is safe to end our half of the stream, or stop is closed.
func (p *Path) BeforeEnd(stop <-chan struct{}) {
	if p.back == nil {
		return
	}
	late := time.NewTimer(settleTime)
	defer late.Stop()
	select {
	case <-p.back:
	case <-late.C:
	case <-stop:
	}
}

// Close ends the path and what is read back.
func (p *Path) Close() error {
	err := p.Conn.Close()
	p.reading.Wait()
	return err
}
