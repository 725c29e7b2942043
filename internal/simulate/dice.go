package simulate

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"
)

// dice draws everything of a run from its seed. The value drawn for the n-th of
// something does not depend on what was drawn before, so that goroutines which take
// their turns in another order draw the same.
type dice uint64

// of returns the generator of the n-th of something.
func (d dice) of(what string, n int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(what + strconv.Itoa(n)))
	return rand.New(rand.NewPCG(uint64(d), h.Sum64()))
}

// between draws a time.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)+1))
}

// once reports true once in n times.
func once(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }
