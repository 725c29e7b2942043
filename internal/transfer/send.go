package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/session"
)

// maxDescription is what fits into a sealed offer beside the longest name.
const maxDescription = 8 << 10

// Send offers the files one after the other and returns nil when every one is
// complete at the other end, else a *Failure. Every file gets exactly one
// terminal event; a failure before that is not Reported.
func (e *Endpoint) Send(ctx context.Context, opt SendOptions) error {
	if len(opt.Description) > maxDescription {
		return &Failure{Code: exitcode.Usage, Reason: fmt.Sprintf("a description of %d bytes; at most %d fit", len(opt.Description), maxDescription)}
	}
	sources, err := openSources(opt.Files)
	if err != nil {
		return err
	}
	defer closeSources(sources)
	e.cfg.Report(Online{JID: e.sess.JID().String()})
	peers, err := e.choose(ctx, opt)
	if err == nil {
		err = e.guardForm(ctx, peers[0], opt)
	}
	if err == nil {
		err = peers[0].check(opt, sources)
	}
	switch {
	case errors.Is(err, errStreamLost), errors.Is(err, session.ErrSessionLost):
		return e.unreachable()
	case err != nil:
		return failureOf(causeOf(ctx, err), false)
	}
	batch := newBatch(sources)
	var codes []exitcode.Code
	for i, src := range sources {
		o := &outgoing{e: e, opt: opt, src: src, begun: time.Now()}
		if batch != nil {
			b := *batch
			b.Index = i + 1
			o.batch = &b
		}
		codes = append(codes, o.run(ctx, peers))
	}
	if code := exitcode.Combine(codes...); code != exitcode.OK {
		return &Failure{Code: code, Reason: "not every file was sent", Reported: true}
	}
	return nil
}
