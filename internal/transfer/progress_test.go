package transfer

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestMeterBehindOffset: what goes on counts from where it was, and its rate is
// that of the present: the bytes that were there before are none of it.
func TestMeterBehindOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const offset, size = 10 << 30, 11 << 30
		var got events
		m := startMeter(Head{Transfer: "a"}, offset, size, got.report)
		for _, n := range []int{1000, 3000, 0} {
			m.add(n)
			time.Sleep(progressEvery)
			synctest.Wait()
		}
		m.end()
		want := []Event{
			Progress{Head: Head{Transfer: "a"}, Bytes: offset + 1000, Size: size, Rate: 2000},
			Progress{Head: Head{Transfer: "a"}, Bytes: offset + 4000, Size: size, Rate: 6000},
			Progress{Head: Head{Transfer: "a"}, Bytes: offset + 4000, Size: size},
		}
		if len(got.all) != len(want) {
			t.Fatalf("%d events: %+v", len(got.all), got.all)
		}
		for i, w := range want {
			if got.all[i] != w {
				t.Errorf("%+v, want %+v", got.all[i], w)
			}
		}
	})
}
