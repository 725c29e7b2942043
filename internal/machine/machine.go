// Package machine is where the steps pass by that a machine can fail in, or be cut
// between: each write, sync, change of a name and commit of packages inbox and state.
//
// In the program nobody watches, and a step costs one atomic load. A simulation
// watches: it fails steps, and knows after a crash what was synced and what was not.
package machine

import (
	"path/filepath"
	"sync/atomic"
)

// Op is a kind of step.
type Op string

// The steps. Path is the file, or the directory for SyncNames; To is the new name of
// Rename, Replace and Link; Size is the bytes of a Write or Reserve, and the length after
// a Truncate.
const (
	Create    Op = "create"
	Write     Op = "write"
	Reserve   Op = "reserve"
	Truncate  Op = "truncate"
	Sync      Op = "sync"
	Rename    Op = "rename"  // to a name that is free
	Replace   Op = "replace" // a rename, whatever has the name
	Link      Op = "link"
	Remove    Op = "remove"
	SyncNames Op = "sync names"
	Commit    Op = "commit"    // of a database, before it is done
	Committed Op = "committed" // after it: an error is a crash before anybody knows
)

// Step is what is about to be done.
type Step struct {
	Op   Op
	Path string // absolute
	To   string // absolute, or nothing
	Size int64
}

var watcher atomic.Pointer[func(Step) error]

// Watch has f asked before each step, in the goroutine that takes it: an error of f is
// that of the step, which is not done. f must not wait. nil ends it.
func Watch(f func(Step) error) {
	if f == nil {
		watcher.Store(nil)
		return
	}
	watcher.Store(&f)
}

// Before asks about a step with the file name in dir.
func Before(op Op, dir, name string, size int64) error {
	f := watcher.Load()
	if f == nil {
		return nil
	}
	return (*f)(Step{Op: op, Path: filepath.Join(dir, name), Size: size})
}

// BeforeNaming asks about a step by which a file in dir gets a name.
func BeforeNaming(op Op, dir, from, to string) error {
	f := watcher.Load()
	if f == nil {
		return nil
	}
	return (*f)(Step{Op: op, Path: filepath.Join(dir, from), To: filepath.Join(dir, to)})
}
