// Package workload is what a run has under way: sessions of others and tasks of its own. It
// takes new ones until it is closed, says which of them are not decided yet, and is
// waited for, or given a while to finish.
package workload

import "sync"

// MaxWaiting bounds the sessions that are looked at or asked about at once.
const MaxWaiting = 64

// Group is work that is waited for.
type Group struct{ sync.WaitGroup }

// Ended is closed when all of the work has ended, which its owner waits for in any case.
func (g *Group) Ended() <-chan struct{} {
	ended := make(chan struct{})
	go func() { // ends with the group
		g.Wait()
		close(ended)
	}()
	return ended
}

// Workload is that of one run. The zero value has nothing to do and takes everything.
type Workload struct {
	Sessions Group // that were taken
	All      Group // they and the tasks

	mu      sync.Mutex
	closed  bool
	waiting int // sessions that are not decided yet
	active  int // sessions that have not ended yet
}

// Session runs a session, which waits to be decided until Decided is called for it, unless
// nothing new is taken any more.
func (w *Workload) Session(run func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.waiting++
	w.active++
	w.Sessions.Add(1)
	w.All.Go(func() {
		defer w.Sessions.Done()
		run()
		w.mu.Lock()
		w.active--
		w.mu.Unlock()
	})
	return true
}

// Decided is called once for every session, when it is.
func (w *Workload) Decided() {
	w.mu.Lock()
	w.waiting--
	w.mu.Unlock()
}

// Task runs a task, unless nothing new is taken any more.
func (w *Workload) Task(run func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.All.Go(run)
	return true
}

// Follow runs what a session or task leaves to be done. It is called within one, and so
// it is waited for, whatever is taken.
func (w *Workload) Follow(run func()) { w.All.Go(run) }

// Close has nothing new taken.
func (w *Workload) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
}

// Closed reports whether nothing new is taken.
func (w *Workload) Closed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// HasRoom reports whether another session may be looked at.
func (w *Workload) HasRoom() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.closed && w.waiting < MaxWaiting
}

// Waiting is how many sessions are not decided yet.
func (w *Workload) Waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting
}

// Active is how many sessions have not ended yet.
func (w *Workload) Active() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.active
}
