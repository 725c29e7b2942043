package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/google/uuid"

	"jetsend/internal/fsys"
	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

// Config says where a set goes, and by what rules.
type Config struct {
	Dir      string // download directory, absolute
	ID       string // of the set: a UUID
	State    string // directory for what is remembered of folders; made when it is missing
	Conflict inbox.Conflict
	MinFree  int64 // bytes that stay free on the disk
	MaxSize  int64 // of a file and of all of them, apparent; 0: as large as they are
	Bytes    int64 // data of all files, as offered: there may not be more
	Ledger   Ledger
	// Settled is told once of every entry what became of it, from any goroutine.
	Settled func(set.Outcome)
	// Arrived is told once of every argument, behind its entries; nil: nobody is.
	Arrived func(Arrival)
	// Broken is told, once, of an error that ends the session while no method runs that
	// could return it; nil: nobody is. It may not call the Target.
	Broken func(error)
	// Pay is asked before so many chunks of 256 KiB of what is here are read; nil: they
	// cost nothing.
	Pay func(ctx context.Context, chunks int) error
}

// Place is something on the disk. Device is a number of the file system, which is still
// the same after a restart.
type Place struct {
	Path          string
	Device, Inode uint64
}

// Placement is an argument and the place that it is about to get, or has got.
type Placement struct {
	Argument int
	Place
}

// Ledger is what the journal knows of the arguments of a set. Two goroutines ask it, also at
// the same time. An error of it ends the session.
type Ledger interface {
	// Interrupted returns the placements that Placing was told of last, of arguments that
	// Placed was not told of.
	Interrupted() ([]Placement, error)
	// Argument reports whether an argument has come to its place before, and which.
	Argument(n int) (p Place, placed bool, err error)
	// Placing is called before arguments get their names, and Placed when these are durable.
	Placing([]Placement) error
	Placed([]Placement) error
	// Folder finds the folder that an id of the contact stands for, and Remember says so.
	Folder(id []byte) (p Place, ok bool, err error)
	Remember(id []byte, p Place) error
}

// Arrival is how an argument ended. The counts are of its entries, in this session.
type Arrival struct {
	Argument                                   int
	Path                                       string // "": it is nowhere
	Folder                                     bool
	Before                                     bool // it was there before this session
	New, Changed, Equal, Kept, Renamed, Failed uint64
	Reason                                     string // why it is nowhere
}

// Target puts a set on the disk. It is a [set.Target].
type Target struct {
	cfg     Config
	ctx     context.Context // of the session, whose methods have none
	stop    context.CancelFunc
	state   string // directory of what is remembered of this set
	records *dir   // that of all sets
	into    *dir   // download directory
	room    *room  // for what goes there
	rooms   map[string]*room
	closed  bool

	// Of the goroutine of the session.
	arg       *argument
	arguments int
	order     order
	entries   uint64 // of all arguments
	bytes     int64  // of data in them
	apparent  int64
	stack     []*node // directories of the moment
	await     []*item // files whose data is to come
	gather    []byte  // room for what is held of the first of those
	dropped   *uint64 // the file whose data came when it failed
	part      *part   // of an earlier session
	unchecked int64   // bytes that may be written until the free space is looked at
	lines     int64   // likewise, in records and the journal
	spare     int64   // bytes that stay free where those are

	syncing chan *item
	workers sync.WaitGroup
	commits sync.WaitGroup
	numbers map[string]int // of base names that were taken in the download directory

	naming sync.Mutex      // held while a name is given that is not an entry's own, and noted
	said   map[string]bool // ids of folders of the arguments before

	mu     sync.Mutex
	wake   sync.Cond // something is ready, or the end has come
	queue  []*step
	open   map[uint64]*item // entries that are not settled
	trees  map[*tree]bool   // folders that are open
	ending bool             // there are no further steps
	broken error
}

// Open makes or opens the hidden directory of a set, and settles what an earlier session
// has left.
func Open(ctx context.Context, cfg Config) (*Target, error) {
	if _, err := uuid.Parse(cfg.ID); err != nil {
		return nil, fmt.Errorf("open set: id: %w", err)
	}
	t := &Target{
		cfg: cfg, state: filepath.Join(cfg.State, cfg.ID), rooms: map[string]*room{}, said: map[string]bool{}, open: map[uint64]*item{}, trees: map[*tree]bool{},
		syncing: make(chan *item, maxUnsynced-workers), numbers: map[string]int{},
	}
	t.wake.L = &t.mu
	t.ctx, t.stop = context.WithCancel(ctx)
	if err := t.start(); err != nil {
		t.stop()
		return nil, fmt.Errorf("open set: %w", errors.Join(err, t.closeRooms()))
	}
	for range workers {
		t.workers.Go(t.work)
	}
	t.commits.Go(t.commit)
	return t, nil
}

func (t *Target) start() error {
	for _, path := range []string{t.state, t.folders()} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
	}
	err := t.resolve()
	if err == nil {
		t.records, err = openPath(t.cfg.State)
	}
	if err != nil {
		return err
	}
	if t.room, err = t.roomIn(t.cfg.Dir); err != nil {
		return err
	}
	t.lines = unlooked
	if t.spare = spare; deviceOf(t.records.f) == t.room.device {
		t.spare = max(t.spare, t.cfg.MinFree)
	}
	t.into = t.room.parent
	if err := t.reconcile(); err != nil {
		return err
	}
	if t.part, err = readPart(t.state); err != nil {
		return err
	}
	return t.room.sweep(t.part.temp())
}

// updatesFile says that a set was begun as one that updates.
const updatesFile = "updates"

// resolve has a set that was begun as one that updates go on as such: whoever resumes it
// may know nothing of that, and a second folder beside one that is half updated is neither.
func (t *Target) resolve() error {
	path := filepath.Join(t.state, updatesFile)
	if exists(path) {
		t.cfg.Conflict = inbox.Update
		return nil
	}
	if t.cfg.Conflict != inbox.Update {
		return nil
	}
	return writeFile(path, nil)
}

// folders is where the records of folders are that are in their places.
func (t *Target) folders() string { return filepath.Join(t.cfg.State, foldersDir) }

// reconcile tells the ledger which of the arguments that were about to get a name have it:
// what has the inode of something that is not in the hidden directory any more.
func (t *Target) reconcile() error {
	begun, err := t.cfg.Ledger.Interrupted()
	if err != nil {
		return err
	}
	var done []Placement
	for _, p := range begun {
		if filepath.Dir(p.Path) != filepath.Clean(t.cfg.Dir) {
			continue
		}
		if is, err := t.into.lstat(filepath.Base(p.Path)); err == nil && is.inode == p.Inode && is.owner == t.room.owner {
			done = append(done, p)
		}
	}
	if len(done) == 0 {
		return nil
	}
	if err := t.into.sync(); err != nil {
		return err
	}
	return t.cfg.Ledger.Placed(done)
}

// fail remembers what ends the session.
func (t *Target) fail(err error) {
	t.mu.Lock()
	first := t.broken == nil
	if first {
		t.broken = err
	}
	t.wake.Broadcast()
	t.mu.Unlock()
	t.stop()
	if first && t.cfg.Broken != nil {
		t.cfg.Broken(err)
	}
}

// failed is what has ended the session.
func (t *Target) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.broken
}

// Close implements [set.Target].
func (t *Target) Close(cause error) error {
	if t.closed {
		return nil
	}
	t.closed = true
	var err error
	if cause != nil || t.failed() != nil {
		err = t.cut()
	}
	close(t.syncing)
	t.mu.Lock()
	t.ending = true
	t.wake.Broadcast()
	t.mu.Unlock()
	t.workers.Wait()
	t.commits.Wait()
	t.stop()
	err = errors.Join(err, t.failed(), t.closeTrees())
	if cause == nil && err == nil {
		if len(t.open) > 0 {
			err = fmt.Errorf("close set: %d entries are not settled", len(t.open))
		} else {
			err = t.clear()
		}
	}
	return errors.Join(err, t.closeRooms())
}

// clear removes what is hidden, when nothing is left to do.
func (t *Target) clear() error {
	var err error
	for _, r := range t.rooms {
		err = errors.Join(err, r.remove())
	}
	return errors.Join(err, os.RemoveAll(t.state))
}

func (t *Target) closeRooms() error {
	var err error
	for _, r := range t.rooms {
		err = errors.Join(err, r.close())
	}
	if t.records != nil {
		err = errors.Join(err, t.records.close())
	}
	return err
}

// closeTrees closes the folders that were not brought to their ends.
func (t *Target) closeTrees() error {
	var err error
	for tr := range t.trees {
		err = errors.Join(err, tr.close())
	}
	return err
}

// ours is an error of the disk, in the words of package inbox.
func ours(err error) error {
	if fsys.Full(err) {
		return fmt.Errorf("%w: %w", inbox.ErrNoSpace, err)
	}
	return err
}

// trouble reports whether an error is none of one entry: the disk is full or failing, or the
// error is none of the system's.
func trouble(err error) bool {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return !errors.Is(err, fs.ErrExist)
	}
	return fsys.Failing(err)
}

// reason is what is said of an error that concerns one entry.
func reason(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no.Error()
	}
	return err.Error()
}
