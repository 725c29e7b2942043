package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
)

// signals turns what the operating system sends into the end of a context.
//
// The first SIGINT cancels it with [fault.ErrInterrupted], the second
// leaves at once. SIGTERM and SIGHUP cancel it with [fault.ErrTerminated].
// A command may ask for a graceful stop: then the first SIGTERM ends the context
// that graceful returned, and the second cancels; and for SIGHUP as a signal of
// its own: then it does nothing but to be told by what hangups returned.
type signals struct {
	ch     chan os.Signal
	done   chan struct{} // closed by close
	exited chan struct{} // closed by the goroutine
	cancel context.CancelCauseFunc
	exit   func(int)

	mu   sync.Mutex
	stop context.CancelFunc // nil until graceful was called
	hups chan struct{}      // nil until hangups was called
}

// signalBuffer: two impatient signals are kept, more tell nothing new.
const signalBuffer = 2

// watchSignals returns a context that ends with the signals of the process.
// A SIGHUP that the parent had ignored (nohup) stays ignored.
func watchSignals(ctx context.Context, exit func(int)) (context.Context, *signals) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &signals{
		ch: make(chan os.Signal, signalBuffer), done: make(chan struct{}), exited: make(chan struct{}),
		cancel: cancel, exit: exit,
	}
	signal.Notify(s.ch, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(s.ch, syscall.SIGHUP)
	}
	go s.loop()
	return ctx, s
}

func (s *signals) loop() {
	defer close(s.exited)
	interrupts, terminates := 0, 0
	for {
		select {
		case <-s.done:
			return
		case sig := <-s.ch:
			switch {
			case sig == os.Interrupt:
				interrupts++
				s.interrupt(interrupts)
			case sig == syscall.SIGHUP && s.hangup():
			default:
				terminates++
				s.terminate(terminates)
			}
		}
	}
}

func (s *signals) interrupt(n int) {
	if n > 1 {
		s.exit(int(exitcode.Cancelled))
	}
	s.cancel(fault.ErrInterrupted)
}

func (s *signals) terminate(n int) {
	s.mu.Lock()
	stop := s.stop
	s.mu.Unlock()
	if stop != nil && n == 1 {
		stop()
		return
	}
	s.cancel(fault.ErrTerminated)
}

// hangup tells of a SIGHUP, if somebody wants to know.
func (s *signals) hangup() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hups == nil {
		return false
	}
	select {
	case s.hups <- struct{}{}:
	default: // one is waiting to be seen already
	}
	return true
}

// graceful returns a context that the first SIGTERM, or the function, ends, and
// keeps that signal from cancelling the run. It is called once.
func (s *signals) graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	return ctx, s.stop
}

// hangups keeps SIGHUP from cancelling the run and returns a channel that tells
// of each, or of several at once. It is called once.
func (s *signals) hangups() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hups = make(chan struct{}, 1)
	return s.hups
}

// close ends the watch and waits for it.
func (s *signals) close() {
	signal.Stop(s.ch)
	close(s.done)
	<-s.exited
	s.cancel(nil)
	if s.stop != nil {
		s.stop()
	}
}
