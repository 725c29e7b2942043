package set

import (
	"errors"
	"sync"
	"time"

	"jetsend/internal/backoff"
)

const (
	// recordSize is how much of messages one record holds at most (crypto.MaxRecord).
	recordSize = 64 << 10
	// dataSize is how many bytes of a file a message gets, so that one fits into a record.
	dataSize = recordSize - 64
	// recordsAhead is how many records may wait for the path.
	recordsAhead = 4
)

// Records is a session of them. What its methods return that is not nil ends it.
type Records interface {
	// WriteRecord writes one; no other follows a final one.
	WriteRecord(p []byte, final bool) error
	// ReadRecord returns the next one, which is valid until the next call; [io.EOF] behind
	// the final one.
	ReadRecord() ([]byte, error)
	// Close wakes both.
	Close() error
}

// speaker is the half of a link that one end writes. One goroutine says messages; another,
// of the speaker, writes the records, and says that the end is alive when it has nothing
// else to say: a proxy may keep what it was given until it is given more.
type speaker struct {
	link  Records
	buf   []byte
	full  chan []byte
	empty chan []byte
	done  sync.WaitGroup

	mu    sync.Mutex
	err   error
	broke chan struct{} // closed when err is set
	ended bool          // the final record is out
}

func newSpeaker(link Records) *speaker {
	s := &speaker{link: link, full: make(chan []byte, recordsAhead), empty: make(chan []byte, recordsAhead), broke: make(chan struct{})}
	for range recordsAhead {
		s.empty <- make([]byte, 0, recordSize)
	}
	s.buf = <-s.empty
	s.done.Go(s.run)
	return s
}

// run writes the records. It ends behind the final one, or with an error.
func (s *speaker) run() {
	pauses := backoff.Backoff{First: 20 * time.Millisecond, Last: 5 * time.Second}
	alive := Append(nil, Alive{})
	idle := time.NewTimer(pauses.Next())
	defer idle.Stop()
	for {
		var err error
		select {
		case b, more := <-s.full:
			if !more {
				s.last(s.link.WriteRecord(s.buf, true))
				return
			}
			err = s.link.WriteRecord(b, false)
			s.empty <- b[:0] // never blocks: as many places as buffers
			pauses.Reset()
		case <-idle.C:
			err = s.link.WriteRecord(alive, false)
		case <-s.broke:
			return
		}
		if err != nil {
			s.fail(err)
			return
		}
		idle.Reset(pauses.Next())
	}
}

// fail ends the speaker; nil is no error.
func (s *speaker) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.err == nil {
		s.err = err
		close(s.broke)
	}
}

// failed is why it has ended.
func (s *speaker) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// say says a message, which goes out with the next ones, or with flush.
func (s *speaker) say(m Message) error {
	if d, is := m.(Data); len(s.buf)+maxSmall > recordSize || is && len(s.buf)+len(d.Bytes)+maxSmall > recordSize {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.buf = Append(s.buf, m)
	for len(s.buf) > recordSize { // a long one goes over the border
		rest := append([]byte(nil), s.buf[recordSize:]...)
		s.buf = s.buf[:recordSize]
		if err := s.flush(); err != nil {
			return err
		}
		s.buf = append(s.buf, rest...)
	}
	return nil
}

// maxSmall is how long most messages are at most that carry no data.
const maxSmall = 512

// flush has what was said go out.
func (s *speaker) flush() error {
	if len(s.buf) == 0 {
		return s.failed()
	}
	select {
	case s.full <- s.buf:
	case <-s.broke:
		return s.failed()
	}
	select {
	case s.buf = <-s.empty:
		return nil
	case <-s.broke:
		return s.failed()
	}
}

// last takes note of how the final record went.
func (s *speaker) last(err error) {
	s.mu.Lock()
	s.ended = err == nil
	s.mu.Unlock()
	s.fail(err)
}

// end writes what is left as the final record, and waits for that. Once it is out, nothing
// else counts: the other end may have heard it, and have ended the session.
func (s *speaker) end() error {
	close(s.full)
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	return s.err
}

// stop ends it without a final record, after its link was closed.
func (s *speaker) stop() {
	s.fail(errStopped)
	s.done.Wait()
}

// errStopped is why a speaker says nothing more whose session has ended.
var errStopped = errors.New("the session has ended")
