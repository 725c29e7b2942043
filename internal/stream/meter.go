package stream

import (
	"sync"
	"sync/atomic"
	"time"
)

// reportEvery is the pace of reports: at most twice a second.
const reportEvery = 500 * time.Millisecond

// Meter counts the bytes of a file that have moved and reports them at its own pace,
// apart from the loop that moves them.
type Meter struct {
	bytes atomic.Int64
	stop  chan struct{}
	done  sync.WaitGroup
}

// StartMeter reports how far the file has come, in bytes from its beginning, and how
// many bytes a second move at present, until [Meter.End] is called. It counts from
// offset, where the file is gone on with.
func StartMeter(offset int64, report func(bytes, rate int64)) *Meter {
	m := &Meter{stop: make(chan struct{})}
	m.bytes.Store(offset)
	m.done.Go(func() {
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		last, lastTime := offset, time.Now()
		for {
			select {
			case now := <-tick.C:
				n := m.bytes.Load()
				rate := int64(float64(n-last) / now.Sub(lastTime).Seconds())
				last, lastTime = n, now
				report(n, max(rate, 0))
			case <-m.stop:
				return
			}
		}
	})
	return m
}

func (m *Meter) add(n int) {
	if m != nil {
		m.bytes.Add(int64(n))
	}
}

// Bytes returns how far the file has come.
func (m *Meter) Bytes() int64 { return m.bytes.Load() }

// End stops the reports and waits for the one under way.
func (m *Meter) End() {
	close(m.stop)
	m.done.Wait()
}
