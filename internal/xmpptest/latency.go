package xmpptest

import (
	"context"
	"sync"
	"time"
)

// latencyQueue bounds the pieces under way on a long line; at the relay's piece
// size this is 16 MiB, more than the bandwidth-delay product of any test.
const latencyQueue = 512

type latency time.Duration

// parcel is what is under way: bytes, or the end of the direction.
type parcel struct {
	due time.Time
	p   []byte
	end bool
}

// delayLine is the stage of a [Latency] fault. One goroutine delivers.
type delayLine struct {
	line
	cancel context.CancelFunc
	delay  time.Duration
	next   stage
	queue  chan parcel
	wg     sync.WaitGroup
	err    error // of the delivery, valid when it is over
}

func (f latency) attach(l line, next stage) stage {
	d := &delayLine{line: l, delay: time.Duration(f), next: next, queue: make(chan parcel, latencyQueue)}
	d.ctx, d.cancel = context.WithCancel(l.ctx)
	d.wg.Go(func() {
		defer d.cancel()
		if d.err = d.deliver(); d.err != nil {
			d.abort()
		}
	})
	return d
}

func (d *delayLine) write(p []byte) error { return d.send(parcel{p: append([]byte(nil), p...)}) }

func (d *delayLine) end() error {
	if err := d.send(parcel{end: true}); err != nil {
		return err
	}
	d.wg.Wait()
	return d.err
}

func (d *delayLine) send(p parcel) error {
	p.due = time.Now().Add(d.delay)
	select {
	case d.queue <- p:
		return nil
	case <-d.ctx.Done():
		return errCut
	}
}

// stop loses what is still under way.
func (d *delayLine) stop() {
	d.cancel()
	d.wg.Wait()
	d.next.stop()
}

func (d *delayLine) deliver() error {
	for {
		var p parcel
		select {
		case p = <-d.queue:
		case <-d.ctx.Done():
			return errCut
		}
		if !sleepUntil(d.ctx, p.due) {
			return errCut
		}
		if p.end {
			return d.next.end()
		}
		if err := d.next.write(p.p); err != nil {
			return err
		}
	}
}
