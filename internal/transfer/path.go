package transfer

import (
	"context"
	"time"

	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
)

// during returns a context that ends with the session or the loss of our own
// stream, so that nothing is negotiated that nobody hears.
func (e *Endpoint) during(ctx context.Context, s *jingle.Session) (context.Context, context.CancelCauseFunc) {
	return e.with(ctx, s, nil, e.sess.Lost())
}

// streaming returns a context that ends with the session, so that a bytestream
// does not outlive what was agreed about it. A socket of its own needs no stream
// to the server.
func (e *Endpoint) streaming(ctx context.Context, s *jingle.Session, path *bytestream) (context.Context, context.CancelCauseFunc) {
	lost := e.sess.Done()
	if path.Transport == IBB {
		lost = e.sess.Lost()
	}
	return e.with(ctx, s, path, lost)
}

// with returns a context that ends with the session, for the reason errEnded, or
// with lost. What path has under way when a receiver says success is given time.
func (e *Endpoint) with(ctx context.Context, s *jingle.Session, path *bytestream, lost <-chan struct{}) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	e.tasks.Go(func() { // ends with the context, which its caller always cancels
		var late <-chan time.Time
		ended := s.Done()
		for {
			select {
			case <-ended:
				if !settling(path, s) {
					cancel(errEnded)
					return
				}
				ended = nil // never ready again
				t := time.NewTimer(lateAcks)
				defer t.Stop()
				late = t.C
			case <-late:
				cancel(errEnded)
				return
			case <-lost:
				cancel(errStreamLost)
				return
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, cancel
}

func deviceInfos(devices []omemo.Device) []DeviceInfo {
	out := make([]DeviceInfo, 0, len(devices))
	for _, d := range devices {
		out = append(out, deviceInfo(d))
	}
	return out
}

func deviceInfo(d omemo.Device) DeviceInfo {
	return DeviceInfo{ID: d.ID, Fingerprint: d.Fingerprint, Trust: d.Trust.String(), New: d.New}
}
