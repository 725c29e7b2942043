package sink

import (
	"context"
	"errors"

	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/set"
	"jetsend/internal/state"
	"jetsend/internal/stream"
	"jetsend/internal/tally"
	"jetsend/internal/tree"
)

// Sets is where what is remembered of the sets that an account receives is kept.
func Sets(stateDir string, account jid.JID) string {
	return state.Path(stateDir, account.Bare()) + ".sets"
}

// Reading is called before so many chunks ([stream.Chunk]) of what is here are read.
type Reading func(ctx context.Context, chunks int) error

// Set opens what a set goes to, as a run follows it. broken is told of trouble that ends the
// session while nobody calls the target.
func (f *File) Set(ctx context.Context, run *tally.Followed, pay Reading, broken func(error)) error {
	row := f.row.Row()
	t, err := tree.Open(ctx, tree.Config{
		Dir: row.Dir, ID: row.ID, State: f.sets, Conflict: f.opt.Conflict, MinFree: f.opt.MinFree, MaxSize: f.opt.MaxSize, Bytes: row.Size,
		Ledger: &ledger{f, run.Run}, Settled: run.Settled, Broken: func(err error) { broken(ours(err)) }, Pay: pay,
	})
	if err != nil {
		return ours(err)
	}
	run.Target = disk{t}
	return nil
}

// disk is a target whose trouble is that of what is received, and not of the path.
type disk struct{ *tree.Target }

// ours is an error of a target: that of the disk, unless the sender has brought it about.
func ours(err error) error {
	if err == nil || errors.Is(err, set.ErrMessage) || errors.Is(err, context.Canceled) {
		return err
	}
	return &stream.SinkError{Err: err}
}

// Argument implements [set.Target].
func (d disk) Argument(n int, a set.Argument) error { return ours(d.Target.Argument(n, a)) }

// Entry implements [set.Target].
func (d disk) Entry(n uint64, e set.Entry, x []set.Extent) (set.Want, error) {
	w, err := d.Target.Entry(n, e, x)
	return w, ours(err)
}

// Write implements [set.Target].
func (d disk) Write(n uint64, at int64, b []byte) error { return ours(d.Target.Write(n, at, b)) }

// End implements [set.Target].
func (d disk) End(n uint64, sum []byte) error { return ours(d.Target.End(n, sum)) }

// Indexed implements [set.Target].
func (d disk) Indexed() error { return ours(d.Target.Indexed()) }

// Close implements [set.Target].
func (d disk) Close(cause error) error { return ours(d.Target.Close(cause)) }

// ledger is what the journal knows of the arguments of a set, as a [tree.Ledger].
type ledger struct {
	f   *File
	run *tally.Run
}

// Interrupted implements [tree.Ledger].
func (l *ledger) Interrupted() (all []tree.Placement, err error) {
	known, err := l.f.row.Arguments(context.Background())
	for _, a := range known {
		if a.State == journal.ArgumentPlacing {
			all = append(all, tree.Placement{Argument: a.Number, Place: placeOf(&a)})
		}
	}
	return all, err
}

func placeOf(a *journal.Argument) tree.Place {
	return tree.Place{Path: a.Path, Device: a.Device, Inode: a.Inode}
}

// Argument implements [tree.Ledger].
func (l *ledger) Argument(n int) (p tree.Place, placed bool, err error) {
	a := l.run.Known(n)
	return placeOf(&a), a.State == journal.ArgumentPlaced, nil
}

// Placing implements [tree.Ledger].
func (l *ledger) Placing(all []tree.Placement) error { return l.place(all, journal.ArgumentPlacing) }

// Placed implements [tree.Ledger].
func (l *ledger) Placed(all []tree.Placement) error { return l.place(all, journal.ArgumentPlaced) }

func (l *ledger) place(all []tree.Placement, s journal.ArgumentState) error {
	where := map[int]tree.Place{}
	var numbers []int
	for _, p := range all {
		where[p.Argument] = p.Place
		numbers = append(numbers, p.Argument)
	}
	return l.run.Place(numbers, func(a *journal.Argument) {
		p := where[a.Number]
		a.State, a.Path, a.Device, a.Inode = s, p.Path, p.Device, p.Inode
	})
}

// Folder implements [tree.Ledger].
func (l *ledger) Folder(id []byte) (p tree.Place, ok bool, err error) {
	of, err := l.f.journal.Folder(context.Background(), l.f.row.Row().Peer, journal.Receive, id)
	if errors.Is(err, journal.ErrUnknown) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	return tree.Place{Path: of.Path, Device: of.Device, Inode: of.Inode}, true, nil
}

// Remember implements [tree.Ledger].
func (l *ledger) Remember(id []byte, p tree.Place) error {
	row := l.f.row.Row()
	return l.f.journal.RememberFolder(context.Background(), journal.Folder{
		Peer: row.Peer, Direction: journal.Receive, ID: id, Path: p.Path, Device: p.Device, Inode: p.Inode,
	})
}
