package stream

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestMeterBehindOffset: what goes on counts from where it was, and its rate is
// that of the present: the bytes that were there before are none of it.
func TestMeterBehindOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const offset = 10 << 30
		var got [][2]int64
		m := StartMeter(offset, func(bytes, rate int64) { got = append(got, [2]int64{bytes, rate}) })
		for _, n := range []int{1000, 3000, 0} {
			m.add(n)
			time.Sleep(reportEvery)
			synctest.Wait()
		}
		m.End()
		if want := [][2]int64{{offset + 1000, 2000}, {offset + 4000, 6000}, {offset + 4000, 0}}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}
