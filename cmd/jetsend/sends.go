package main

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/source"
	"jetsend/internal/together"
	"jetsend/internal/transfer"
)

const (
	// toFlag names contacts one by one.
	toFlag = "to"
	// sendingTo is to how many contacts a command sends at the same time.
	sendingTo = 16
)

// sends are the sends of a command: one for each contact. What they are about is read once,
// as far as they go at the same time.
type sends struct {
	report  func(event.Event)
	explain func(error) *failure
	all     []transfer.SendOptions
	readers []*together.Reader
	inputs  []*source.Input
}

func (a *app) newSends(ctx context.Context, o transfer.SendOptions, to []target) *sends {
	s := &sends{report: a.print.Event, explain: func(err error) *failure { return a.explain(ctx, err) }}
	if len(to) > 1 {
		o.Files = slices.Clone(o.Files)
		for i, f := range o.Files {
			if f.Input != nil {
				in := source.NewInput(f.Input)
				o.Files[i].Input, s.inputs = in, append(s.inputs, in)
			}
		}
	}
	window := together.New()
	for _, t := range to {
		o.To = t.jid
		if len(to) > 1 {
			o.Reader = window.Join(ctx)
			s.readers = append(s.readers, o.Reader)
		}
		s.all = append(s.all, o)
	}
	return s
}

// sendAll sends to everybody, or shows what would be sent. ended has a look at how each ended.
func (a *app) sendAll(ctx context.Context, e endpoint, o transfer.SendOptions, to []target, dry bool, ended func(int, error) error) (err error) {
	s := a.newSends(ctx, o, to)
	defer func() { err = errors.Join(err, s.close()) }()
	if dry {
		return s.each(1, func(_ int, o transfer.SendOptions) error { return dryRun(ctx, a, e, o) })
	}
	a.print.Expect(len(o.Files) * len(to))
	return s.each(sendingTo, func(i int, o transfer.SendOptions) error { return ended(i, e.Send(ctx, o)) })
}

func (s *sends) close() error {
	var errs []error
	for _, in := range s.inputs {
		errs = append(errs, in.Close())
	}
	return errors.Join(errs...)
}

// each does something with every one of them, so many at the same time. Of several, each
// reports its own failure, and their codes combine.
func (s *sends) each(atOnce int, do func(int, transfer.SendOptions) error) error {
	if len(s.all) == 1 {
		return do(0, s.all[0])
	}
	errs := make([]error, len(s.all))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, o := range s.all {
		group.Go(func() error {
			errs[i] = do(i, o)
			s.readers[i].Leave()
			return nil
		})
	}
	_ = group.Wait() // errs tell
	return s.combined(errs)
}

// combined is the failure of all: nil without one. What has stopped the command is told once.
func (s *sends) combined(errs []error) error {
	var codes []exitcode.Code
	var hints []string
	for i, err := range errs {
		if err == nil {
			continue
		}
		f := s.explain(err)
		switch {
		case f.reported:
			hints = append(hints, f.hints...)
		case f.code == exitcode.Cancelled, f.code == exitcode.Terminated:
			return err
		default:
			s.report(event.FailedEarly{Direction: event.Send, Peer: s.all[i].To.String(), Code: int(f.code), Reason: f.reason, Hints: f.hints})
		}
		codes = append(codes, f.code)
	}
	if code := exitcode.Combine(codes...); code != exitcode.OK {
		return &fault.Failure{Code: code, Reason: "not everything was sent to everybody", Reported: true, Hints: hints}
	}
	return nil
}

// settleAll finds all contacts.
func (a *app) settleAll(ctx context.Context, c *config.Config, e endpoint, to []target, whom []string) error {
	for i := range to {
		if err := a.settle(ctx, c, e, &to[i]); err != nil {
			return err
		}
	}
	return a.settled(to, whom)
}

// settled has them called as they were typed. One who is named by two words is an error.
func (a *app) settled(to []target, whom []string) error {
	seen := map[jid.JID]string{}
	for i := range to {
		if before, ok := seen[to[i].jid]; ok {
			return usagef("%s and %s are the same contact", clean.Text(before), clean.Text(whom[i])).hint("leave one of them out")
		}
		seen[to[i].jid] = whom[i]
		a.print.Contact(to[i].jid, whom[i])
	}
	return nil
}
