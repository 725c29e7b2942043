package ibb

import "time"

// deadline is a moment at which somebody is to be woken.
type deadline struct {
	at    time.Time // on the monotonic clock, so that it has passed when timer fires
	timer *time.Timer
}

// set makes wake be called at t, or never for a zero t.
func (d *deadline) set(t time.Time, wake func()) {
	d.stop()
	d.at = time.Time{}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	d.at = time.Now().Add(left)
	if left <= 0 {
		return
	}
	if d.timer == nil {
		d.timer = time.AfterFunc(left, wake)
		return
	}
	d.timer.Reset(left)
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// passed reports whether the deadline is over; a zero one never is.
func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
