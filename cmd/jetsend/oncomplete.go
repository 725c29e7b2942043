package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/hook"
	"jetsend/internal/journal"
	"jetsend/internal/source"
)

const (
	// maxCompletions is how many of the executables of --on-complete run at once.
	maxCompletions = 4
	// lastCompletions is how long they may go on when the run is told to stop.
	lastCompletions = 10 * time.Second
)

// completions runs the executable of --on-complete at the end of each transfer, beside the
// others. Its goroutines belong to it: wait joins them.
type completions struct {
	a     *app
	conf  *config.Config
	hook  *hook.Config // nil: none
	files []source.Named
	run   context.Context // of the command
	// ctx is that of the executables, which end a while after the run.
	ctx    context.Context //nolint:containedctx // events have none
	cancel context.CancelCauseFunc
	places chan struct{}
	tasks  sync.WaitGroup
}

func (a *app) completions(run context.Context, c *config.Config, h *hook.Config, files []source.Named) *completions {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(run))
	return &completions{a: a, conf: c, hook: h, files: files, run: run, ctx: ctx, cancel: cancel, places: make(chan struct{}, maxCompletions)}
}

// report changes the options of a run, so that its ends are seen.
func (c *completions) report(o *dialOptions) {
	if c.hook == nil {
		return
	}
	next := o.Report
	o.Report = func(e event.Event) {
		next(e)
		switch e := e.(type) {
		case event.Sent:
			c.end(e.Head, func(g hook.Goods) hook.Call { return hook.AtSent(e, g) })
		case event.Failed:
			if e.Direction == event.Send {
				c.end(e.Head, func(g hook.Goods) hook.Call { return hook.AtFailed(e, g) })
			}
		}
	}
}

// end runs the executable for a transfer, as soon as there is a place.
func (c *completions) end(h event.Head, call func(hook.Goods) hook.Call) {
	c.tasks.Go(func() {
		result := hook.Result{Status: -1}
		select {
		case c.places <- struct{}{}:
			result = c.hook.Run(c.ctx, call(c.goods(h)))
			<-c.places
		case <-c.ctx.Done():
			result.Err = context.Cause(c.ctx)
		}
		e := event.Hook{Head: h, Status: result.Status, Seconds: result.Seconds}
		if result.Err != nil {
			e.Reason = clean.Error(result.Err)
		}
		c.a.log.Info("hook", "transfer", h.Transfer, "path", c.hook.Path, "status", result.Status, "reason", e.Reason, "output", clean.Text(string(result.Output)))
		c.a.print.Event(e)
	})
}

// wait waits for the executables. When the run is told to stop they have a while.
func (c *completions) wait() {
	defer c.cancel(nil)
	done := make(chan struct{})
	go func() { // ends with the tasks, which are waited for
		defer close(done)
		c.tasks.Wait()
	}()
	select {
	case <-done:
		return
	case <-c.run.Done():
	}
	late := time.NewTimer(lastCompletions)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
		c.cancel(fault.ErrTerminated)
		<-done
	}
}

// goods is what a transfer was made of.
func (c *completions) goods(h event.Head) hook.Goods {
	f := c.source(h)
	if f == nil || f.Path == "" {
		return hook.Goods{Kind: "input"}
	}
	g := hook.Goods{Path: f.Path, Kind: "file"}
	if abs, err := filepath.Abs(f.Path); err == nil {
		g.Path = abs
	}
	if info, err := os.Stat(g.Path); err == nil && info.IsDir() {
		g.Kind = "directory"
	}
	return g
}

// source is the argument that a transfer is of: the only one, the only one of that name, or
// the one that the journal has.
func (c *completions) source(h event.Head) (found *source.Named) {
	if len(c.files) == 1 {
		return &c.files[0]
	}
	named := 0
	for i := range c.files {
		if f := &c.files[i]; clean.Text(filepath.Base(f.Path)) == h.Name {
			found, named = f, named+1
		}
	}
	if named == 1 {
		return found
	}
	return c.recorded(h)
}

// recorded is what the journal has of the argument that a transfer is of; nil for nothing.
func (c *completions) recorded(h event.Head) (found *source.Named) {
	_ = c.a.withTransfers(c.ctx, c.conf, func(t transfers) error { // without it the path is not told
		row, number, err := t.Get(c.ctx, h.Transfer)
		if err != nil {
			return err
		}
		if row.Source == journal.SourceFile || row.Source == journal.SourceTree {
			found = &source.Named{Path: row.Path}
		}
		if row.Source != journal.SourceSet {
			return nil
		}
		arguments, err := t.Arguments(c.ctx, row.Key)
		for i := range arguments {
			if arguments[i].Number == number {
				found = &source.Named{Path: arguments[i].Path}
			}
		}
		return err
	})
	return found
}
