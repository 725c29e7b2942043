package main

import (
	"context"
	"fmt"
	"net"
	"time"
)

// pollEvery is how often a condition is looked at that nobody reports.
const pollEvery = 50 * time.Millisecond

// poll returns when ok does, asking again until limit has passed. The last
// error of ok is in the text when it does not come true.
func poll(whole context.Context, limit time.Duration, what string, ok func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(whole, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last error
	for {
		yes, err := ok(ctx)
		if yes {
			return nil
		}
		if ctx.Err() == nil { // else the error only says so
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err := whole.Err(); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if last != nil {
				return fmt.Errorf("%s: not within %s: %w", what, limit, last)
			}
			return fmt.Errorf("%s: not within %s", what, limit)
		}
	}
}

// pause waits for d or the end of the context.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// waitListening returns when a connection to every address succeeds, or when
// the process that should listen has ended.
func waitListening(ctx context.Context, p *process, limit time.Duration, addrs ...string) error {
	var d net.Dialer
	for _, addr := range addrs {
		err := poll(ctx, limit, "wait for "+addr, func(ctx context.Context) (bool, error) {
			if !p.running() {
				return true, nil
			}
			c, err := d.DialContext(ctx, "tcp", addr)
			if err != nil {
				return false, err
			}
			return true, c.Close()
		})
		if err != nil {
			return err
		}
	}
	if !p.running() {
		return fmt.Errorf("%s ended by itself: %w", p.name, p.err)
	}
	return nil
}
