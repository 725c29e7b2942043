package transfer

import (
	"sync"
	"sync/atomic"
	"time"
)

// progressEvery is the pace of progress events: at most twice a second.
const progressEvery = 500 * time.Millisecond

// meter counts the bytes of a running transfer and reports them at its own
// pace, apart from the loop that moves them.
type meter struct {
	bytes atomic.Int64
	stop  chan struct{}
	done  sync.WaitGroup
}

// startMeter reports progress behind offset until end is called. The rate is
// that of the present.
func startMeter(head Head, offset, size int64, report func(Event)) *meter {
	m := &meter{stop: make(chan struct{})}
	m.bytes.Store(offset)
	m.done.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		last, lastTime := offset, time.Now()
		for {
			select {
			case now := <-tick.C:
				n := m.bytes.Load()
				rate := int64(float64(n-last) / now.Sub(lastTime).Seconds())
				last, lastTime = n, now
				report(Progress{Head: head, Bytes: n, Size: size, Rate: max(rate, 0)})
			case <-m.stop:
				return
			}
		}
	})
	return m
}

func (m *meter) add(n int) { m.bytes.Add(int64(n)) }

// end stops the reports and waits for the one under way.
func (m *meter) end() {
	close(m.stop)
	m.done.Wait()
}
