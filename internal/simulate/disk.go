package simulate

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"jetsend/internal/machine"
)

// errDead is what a crashed program gets of the machine.
var errDead = errors.New("the machine has crashed")

// errIO is a fault of the disk.
var errIO = fmt.Errorf("simulated: %w", syscall.EIO)

// trouble is a fault of the machine, at the step that is the at-th of its kind, or of all
// where it says none, and for as many as it lasts.
type trouble struct {
	kind      string // crash, full, sync, commit
	of        machine.Op
	at, steps int
	after     bool // at the step after that one
}

// disk is the machine of one end: what it does and does not do, and what a crash takes.
type disk struct {
	w    *world
	name string
	dir  string

	mu       sync.Mutex
	steps    int
	ops      map[machine.Op]int // of the steps
	troubles []trouble
	dead     bool
	looking  bool // the simulation itself opens the state: nothing happens to it
	crashes  int
	crashed  func() // told of the crash; must not wait
	files    map[string]*file
	naming   []naming // not synced yet, in order
	graves   int
	failed   bool // a step did, without a crash
}

// file is what is known of a partial or a released file.
type file struct {
	size, synced int64
}

// disks finds the disk of a path: machine.Watch is one for the process.
var disks struct {
	sync.Mutex
	all map[string]*disk
}

func addDisk(d *disk) (remove func()) {
	disks.Lock()
	defer disks.Unlock()
	if disks.all == nil {
		disks.all = map[string]*disk{}
		machine.Watch(watch)
	}
	disks.all[d.dir] = d
	return func() {
		disks.Lock()
		defer disks.Unlock()
		delete(disks.all, d.dir)
	}
}

func watch(s machine.Step) error {
	disks.Lock()
	var of *disk
	for dir, d := range disks.all {
		if strings.HasPrefix(s.Path, dir+string(filepath.Separator)) {
			of = d
		}
	}
	disks.Unlock()
	if of == nil {
		return nil
	}
	return of.step(s)
}

// step decides about a step, and notes what a crash after it would take.
func (d *disk) step(s machine.Step) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.looking:
		return nil
	case d.dead:
		return errDead
	}
	d.steps++
	d.ops[s.Op]++
	if err := d.fault(s); err != nil {
		d.w.trace(d.name, "step %d, %s %s: %v", d.steps, s.Op, filepath.Base(s.Path), err)
		return err
	}
	return d.note(s)
}

// fault draws from the schedule what goes wrong with a step.
func (d *disk) fault(s machine.Step) error {
	for i, t := range d.troubles {
		if !d.due(&t, s.Op) || d.w.calm() {
			continue
		}
		switch t.kind {
		case "crash":
			d.dead = true
			d.crashes++
			d.troubles[i].steps = 0
			d.w.count("crash " + d.name)
			d.crashed()
			return errDead
		case "full":
			d.w.count("disk full")
			return syscall.ENOSPC
		default:
			d.troubles[i].steps = 0
			d.w.count("failing " + string(s.Op))
			d.failed = true
			return errIO
		}
	}
	return nil
}

// due reports whether it is the step of a trouble.
func (d *disk) due(t *trouble, op machine.Op) bool {
	n, same := d.steps, true
	if t.of != "" {
		n, same = d.ops[t.of], t.of == op
	}
	if t.after && t.of != "" {
		return n >= t.at && t.steps > 0 && !(same && n == t.at)
	}
	return same && n >= t.at && n < t.at+t.steps
}

// look lets the simulation look into the state, or ends that.
func (d *disk) look(is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looking = is
}

// decay changes one of the synced bytes of a file that nobody has open.
func (d *disk) decay(r *rand.Rand, path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[path]
	if f == nil || f.synced == 0 {
		return
	}
	h, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	at, b := r.Int64N(f.synced), make([]byte, 1)
	_, err = h.ReadAt(b, at)
	b[0] ^= 1
	if err == nil {
		_, err = h.WriteAt(b, at)
	}
	if errors.Join(err, h.Close()) == nil {
		d.w.count("byte changed on the disk")
		d.w.trace(d.name, "byte %d of %s has changed on the disk", at, filepath.Base(path))
	}
}

// isDead reports whether the machine has crashed and not begun again.
func (d *disk) isDead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// works reports whether no step of the machine has failed.
func (d *disk) works() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.failed
}

// whole reports whether nothing has happened to the machine that may leave files behind.
func (d *disk) whole() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.crashes == 0 && !d.failed
}

// restart takes from the files what the crash took, and lets the machine go on. Nobody
// has them open. It returns how many bytes of each were synced.
func (d *disk) restart() (synced map[string]int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.w.dice.of("loss of "+d.name, d.crashes)
	keep := r.IntN(len(d.naming) + 1)
	for i := len(d.naming) - 1; i >= keep; i-- {
		n := d.naming[i]
		d.naming = d.naming[:i]
		d.w.trace(d.name, "not durable: %s", strings.ReplaceAll(n.String(), d.dir, ""))
		if err := d.undo(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	d.naming = nil
	synced = map[string]int64{}
	for _, path := range slices.Sorted(maps.Keys(d.files)) {
		f := d.files[path]
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			delete(d.files, path)
			continue
		}
		f.size = info.Size()
		synced[path] = f.synced
		if f.size <= f.synced {
			f.synced = f.size
			continue
		}
		if err := d.forget(path, f, r.Int64N(f.size-f.synced+1), once(r, 2)); err != nil {
			return nil, err
		}
	}
	d.dead = false
	return synced, nil
}

// forget loses what was not synced, but for the first bytes of it: the file is cut, or
// what should be there are zeros.
func (d *disk) forget(path string, f *file, but int64, cut bool) error {
	at := f.synced + but
	d.w.trace(d.name, "%s: %d of %d bytes are left, cut %v", filepath.Base(path), at, f.size, cut)
	h, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if cut {
		err = h.Truncate(at)
	} else {
		_, err = h.WriteAt(make([]byte, f.size-at), at)
	}
	if info, serr := h.Stat(); serr == nil {
		f.size, f.synced = info.Size(), info.Size()
	}
	return errors.Join(err, h.Close())
}
