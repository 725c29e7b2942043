// Package backoff draws the pauses between the tries of something that fails for a while:
// each up to twice as long as the one before, and at random, so that the clients of a
// server that restarts do not all come at once, and two ends that lost the same path do
// not keep meeting.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Backoff is the pauses of one thing that is tried. It is not for several goroutines.
type Backoff struct {
	// First and Last are the least and the greatest ceiling: a pause is drawn between half
	// of its ceiling and all of it, and the next ceiling is twice as high.
	First, Last time.Duration
	// Draw returns a number from 0 up to n, n excluded; nil is [rand.Int64N].
	Draw func(n int64) int64

	ceiling time.Duration // of the pause before; 0: there was none
}

// Next is the pause before the next try.
func (b *Backoff) Next() time.Duration { return b.AtLeast(0) }

// AtLeast is Next for a try that is of no use before least has passed. The pauses after
// it are longer accordingly. Half of Last is the most that can be asked for.
func (b *Backoff) AtLeast(least time.Duration) time.Duration {
	b.ceiling = min(max(b.First, 2*b.ceiling, 2*least), b.Last)
	draw := b.Draw
	if draw == nil {
		draw = rand.Int64N
	}
	half := b.ceiling / 2
	return half + time.Duration(draw(max(int64(b.ceiling-half), 1)))
}

// Reset makes the next pause a first one again: it went well.
func (b *Backoff) Reset() { b.ceiling = 0 }
