package xmpptest

import (
	"context"
	"errors"
	"io"
	"time"
)

// Fault is damage that a [Relay] does to one direction of one connection.
// Offsets count the bytes of that direction from 0, behind the SOCKS5 handshake.
// Faults are values: each connection gets a state of its own.
type Fault interface {
	// attach returns a stage that passes to next what it is given, damaged.
	attach(l line, next stage) stage
}

// line is the connection that a stage works for.
type line struct {
	ctx   context.Context // ends with the connection
	abort func()          // ends the connection
}

// stage takes the bytes of one direction in order. The slice belongs to the
// caller again after write, who does not mind changes in it.
type stage interface {
	write(p []byte) error
	end() error // the source is done writing; returns when all was delivered
	stop()      // the connection is over: wait for what was started
}

// errCut ends a connection on purpose.
var errCut = errors.New("connection cut")

// FlipBit inverts one bit (0 to 7) of the byte at an offset.
func FlipBit(offset int64, bit uint) Fault { return flipBit{offset, bit & 7} }

// InsertAt adds bytes in front of the byte at an offset. When the direction
// ends exactly there they are added at its end.
func InsertAt(offset int64, extra []byte) Fault { return insertAt{offset, extra} }

// Append adds bytes at the end of a direction that carried any.
func Append(extra []byte) Fault { return insertAt{-1, extra} }

// DropLast holds the last n bytes back and loses them when the direction ends.
func DropLast(n int) Fault { return dropLast(n) }

// TruncateAt passes the bytes before an offset, ends the direction there as if
// its source were done, and swallows the rest.
func TruncateAt(offset int64) Fault { return truncateAt(offset) }

// CutAt passes the bytes before an offset, then closes the connection in both
// directions.
func CutAt(offset int64) Fault { return cutAt(offset) }

// StallAt passes the bytes before an offset and then nothing; the connection
// stays open.
func StallAt(offset int64) Fault { return stallAt(offset) }

// Rate limits a direction to so many bytes a second.
func Rate(bytesPerSecond int64) Fault { return rate(max(bytesPerSecond, 1)) }

// Latency delivers every byte of a direction so much later, as a long line
// does: what is under way does not hold back what follows.
func Latency(d time.Duration) Fault { return latency(d) }

type flipBit struct {
	offset int64
	bit    uint
}

func (f flipBit) attach(_ line, next stage) stage {
	return &counting{next: next, write1: func(at int64, p []byte) error {
		if i := f.offset - at; i >= 0 && i < int64(len(p)) {
			p[i] ^= 1 << f.bit
		}
		return next.write(p)
	}}
}

type insertAt struct {
	offset int64 // -1: at the end
	extra  []byte
}

func (f insertAt) attach(_ line, next stage) stage {
	done := false
	insert := func() error {
		done = true
		return next.write(append([]byte(nil), f.extra...))
	}
	return &counting{next: next,
		write1: func(at int64, p []byte) error {
			i := f.offset - at
			if done || i < 0 || i >= int64(len(p)) {
				return next.write(p)
			}
			if err := next.write(p[:i]); err != nil {
				return err
			}
			if err := insert(); err != nil {
				return err
			}
			return next.write(p[i:])
		},
		end1: func(at int64) error {
			if !done && (f.offset == at || f.offset < 0 && at > 0) {
				if err := insert(); err != nil {
					return err
				}
			}
			return next.end()
		},
	}
}

type dropLast int

func (f dropLast) attach(_ line, next stage) stage {
	var held []byte
	return &counting{next: next, write1: func(_ int64, p []byte) error {
		held = append(held, p...)
		n := len(held) - int(f)
		if n <= 0 {
			return nil
		}
		out := append([]byte(nil), held[:n]...)
		held = append(held[:0], held[n:]...)
		return next.write(out)
	}}
}

type truncateAt int64

func (f truncateAt) attach(_ line, next stage) stage {
	ended := false
	finish := func() error {
		if ended {
			return nil
		}
		ended = true
		return next.end()
	}
	return &counting{next: next,
		write1: func(at int64, p []byte) error {
			left := int64(f) - at
			if left > 0 {
				if err := next.write(p[:min(left, int64(len(p)))]); err != nil {
					return err
				}
			}
			if left <= int64(len(p)) {
				return finish()
			}
			return nil
		},
		end1: func(int64) error { return finish() },
	}
}

type cutAt int64

func (f cutAt) attach(_ line, next stage) stage {
	return &counting{next: next, write1: func(at int64, p []byte) error {
		left := int64(f) - at
		if left > int64(len(p)) {
			return next.write(p)
		}
		if err := next.write(p[:left]); err != nil {
			return err
		}
		return errCut
	}}
}

type stallAt int64

func (f stallAt) attach(l line, next stage) stage {
	return &counting{next: next, write1: func(at int64, p []byte) error {
		left := int64(f) - at
		if left > int64(len(p)) {
			return next.write(p)
		}
		if err := next.write(p[:left]); err != nil {
			return err
		}
		<-l.ctx.Done()
		return errCut
	}}
}

type rate int64

// rateStep is how often a limited direction moves: often enough to look smooth.
const rateStep = 5 * time.Millisecond

func (f rate) attach(l line, next stage) stage {
	var begin time.Time
	return &counting{next: next, write1: func(at int64, p []byte) error {
		if begin.IsZero() {
			begin = time.Now()
		}
		step := max(int64(f)*int64(rateStep)/int64(time.Second), 1)
		for len(p) > 0 {
			n := min(step, int64(len(p)))
			due := begin.Add(time.Duration(float64(at+n) / float64(f) * float64(time.Second)))
			if !sleepUntil(l.ctx, due) {
				return errCut
			}
			if err := next.write(p[:n]); err != nil {
				return err
			}
			p, at = p[n:], at+n
		}
		return nil
	}}
}

func sleepUntil(ctx context.Context, due time.Time) bool {
	d := time.Until(due)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// counting is a stage that keeps the offset for its functions.
type counting struct {
	next   stage
	at     int64
	write1 func(at int64, p []byte) error
	end1   func(at int64) error // nil: only pass it on
}

func (c *counting) write(p []byte) error {
	at := c.at
	c.at += int64(len(p))
	return c.write1(at, p)
}

func (c *counting) end() error {
	if c.end1 == nil {
		return c.next.end()
	}
	return c.end1(c.at)
}

func (c *counting) stop() { c.next.stop() }

// sink is the last stage: the connection itself.
type sink struct {
	w   io.Writer
	fin func() error
}

func (s sink) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := s.w.Write(p)
	return err
}

func (s sink) end() error { return s.fin() }
func (s sink) stop()      {}
