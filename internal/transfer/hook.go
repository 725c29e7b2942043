package transfer

import (
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/hook"
	"jetsend/internal/sink"
)

// runHook runs the hook for a file that was released. It takes a place among
// the running transfers, and no more than so many wait for one, so that hooks which
// are slower than files come hold the next ones up, instead of piling up.
//
// Every file is reported as received once, so this is called once for it. When
// the process dies between the two the hook is not run: once at most.
func (r *receiver) runHook(h *hook.Config, of event.Received) {
	if h == nil || of.Path == event.StandardOutput { // what another run wrote there is no file of this one
		return
	}
	r.work.Follow(func() {
		result := hook.Result{Status: -1}
		if result.Err = r.places.EnterHook(r.hooks); result.Err == nil {
			result = h.Run(r.hooks, hook.For(of))
			r.places.LeaveHook()
		}
		event := event.Hook{Head: of.Head, Status: result.Status, Seconds: result.Seconds}
		if result.Err != nil {
			event.Reason = clean.Error(result.Err)
		}
		r.e.log.Info("hook", "transfer", of.Transfer, "path", h.Path, "status", result.Status, "reason", event.Reason, "output", clean.Text(string(result.Output)))
		r.e.cfg.Report(event)
	})
}

// finishHooks waits for what a run that is over has left: its hooks. After Stop
// they have no longer than the drain.
func (r *receiver) finishHooks() {
	t, done := r.terms(), r.work.All.Ended()
	select {
	case <-done:
		return
	case <-t.Stop:
	}
	select {
	case <-done:
	case <-time.After(t.Drain):
		r.unhook(fault.ErrTerminated)
		<-done
	}
}

// keeping says how this run keeps the files that it takes under t.
func (r *receiver) keeping(t *terms) keeping {
	return keeping{
		Options:  sink.Options{MinFree: t.MinFree, MaxSize: t.MaxSize, Conflict: t.OnConflict, PerSender: t.PerSender, Out: t.Out},
		checksum: t.Checksum, released: func(of event.Received) { r.runHook(t.Hook, of) },
	}
}
