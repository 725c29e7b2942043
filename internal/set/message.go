package set

import (
	"encoding/binary"
	"io/fs"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Message is one of the kinds below.
type Message interface {
	kind() byte
	append(b []byte) []byte
}

// The kinds of messages, as their first byte.
const (
	kindEntry = iota + 1
	kindExtents
	kindIndexed
	kindWant
	kindData
	kindEnd
	kindReleased
	kindFailed
	kindDone
	kindAlive
	kindArgument
	kindRenamed
	kindKept
)

// Kind is what an entry is.
type Kind byte

// The kinds of entries.
const (
	File Kind = iota + 1
	Directory
	Link
)

// Argument begins, in the index, the entries of what was named as one thing to send: a file,
// or a folder with all that is in it. The first one has the number 0.
type Argument struct {
	ID uuid.UUID // of its transfer
	// Name is what it is called, as bytes; the receiver makes it safe.
	Name string
	// Folder, of 16 bytes, stands for what is sent and to whom, whenever that is: nil for
	// a file.
	Folder []byte
	// Entries and Bytes are what its entries come to at most: their number, and the data
	// of files.
	Entries uint64
	Bytes   int64
}

// FolderSize is the length of Argument.Folder.
const FolderSize = 16

// Entry is a line of the index, from the sender: of the latest argument. The first one of
// all has the number 0. The first one of an argument is its root; a directory comes right
// before what is in it, and what is in one directory is in the ascending order of its names
// as bytes.
type Entry struct {
	Kind Kind
	// Path are the names below the argument, as the bytes that they are; none for the
	// root.
	Path  []string
	Size  int64 // apparent, of a file
	MTime time.Time
	Mode  fs.FileMode // permission bits
	// Target is that of a link.
	Target string
	// Extents says how many extents of data a sparse file has, which the next messages
	// carry; -1: all of the file is data.
	Extents int
	// SHA256 is that of a file where the sender was asked for it, else empty.
	SHA256 []byte
	// Failed is why it will not come, or of a directory, not all that is in it; "" for
	// most.
	Failed string
}

// Extents are the next extents of data of the entry before.
type Extents struct{ List []Extent }

// Extent is a run of data in a sparse file.
type Extent struct{ Offset, Length int64 }

// Indexed ends the index.
type Indexed struct{}

// Want is the receiver's answer to entries: those from First on, Count of them.
type Want struct {
	First, Count uint64
	// Have is how many bytes of the one file are here already, and SHA256 that of them.
	// With Have and Nothing unset, all is wanted.
	Have    int64
	SHA256  []byte
	Nothing bool // they are here
}

// Data is bytes of a file. Those of one file ascend.
type Data struct {
	Number uint64
	Offset int64
	Bytes  []byte // valid until the next message is read
}

// End says that all bytes of a file are out. SHA256 is that of the whole file where it was
// put together from more than one session, else empty.
type End struct {
	Number uint64
	SHA256 []byte
}

// How says what became of an entry that is in its place.
type How byte

// The ways.
const (
	New     How = iota + 1 // nothing had its name
	Changed                // it took the place of what a set had put there
	Equal                  // it was there
)

// Released says that entries are verified, durable and in their place. The root of a folder
// is the last of its entries: then all of it stands under its name.
type Released struct {
	First, Count uint64
	How          How
}

// Renamed says that an entry has another last name where it is, and Kept, that what
// somebody had changed at that place is kept under another name. Both come before the
// entry is released.
type Renamed struct {
	Number uint64
	Name   string
}

// Kept is what [Renamed] says.
type Kept struct {
	Number uint64
	Name   string
}

// Failed says, of a sender, that the rest of an entry will not come, and of a receiver, that
// it comes to nothing: that is the last word about it.
type Failed struct {
	Number uint64
	Reason string
}

// Done is the last message of an end.
type Done struct{ Released, Failed uint64 }

// Alive says nothing else.
type Alive struct{}

func (Argument) kind() byte { return kindArgument }
func (Renamed) kind() byte  { return kindRenamed }
func (Kept) kind() byte     { return kindKept }
func (Entry) kind() byte    { return kindEntry }
func (Extents) kind() byte  { return kindExtents }
func (Indexed) kind() byte  { return kindIndexed }
func (Want) kind() byte     { return kindWant }
func (Data) kind() byte     { return kindData }
func (End) kind() byte      { return kindEnd }
func (Released) kind() byte { return kindReleased }
func (Failed) kind() byte   { return kindFailed }
func (Done) kind() byte     { return kindDone }
func (Alive) kind() byte    { return kindAlive }

func text[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (e Entry) append(b []byte) []byte {
	b = append(b, byte(e.Kind))
	b = binary.AppendUvarint(b, uint64(len(e.Path)))
	for _, name := range e.Path {
		b = text(b, name)
	}
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = binary.AppendVarint(b, e.MTime.Unix())
	b = binary.AppendUvarint(b, uint64(e.MTime.Nanosecond()))
	b = text(b, e.Failed[:min(len(e.Failed), MaxReason)])
	switch e.Kind {
	case File:
		b = binary.AppendUvarint(b, uint64(e.Size))
		b = binary.AppendVarint(b, int64(e.Extents))
		b = text(b, e.SHA256)
	case Link:
		b = text(b, e.Target)
	}
	return b
}

func (x Extents) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(x.List)))
	for _, e := range x.List {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(e.Offset)), uint64(e.Length))
	}
	return b
}

func (Indexed) append(b []byte) []byte { return b }

// What is wanted of entries.
const (
	wantAll = iota
	wantRest
	wantNothing
)

func (w Want) append(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, w.First), w.Count)
	switch {
	case w.Nothing:
		return append(b, wantNothing)
	case w.Have > 0:
		return text(binary.AppendUvarint(append(b, wantRest), uint64(w.Have)), w.SHA256)
	}
	return append(b, wantAll)
}

func (d Data) append(b []byte) []byte {
	return append(binary.AppendUvarint(binary.AppendUvarint(b, d.Number), uint64(d.Offset)), d.Bytes...)
}

func (e End) append(b []byte) []byte { return text(binary.AppendUvarint(b, e.Number), e.SHA256) }

func (r Released) append(b []byte) []byte {
	return append(binary.AppendUvarint(binary.AppendUvarint(b, r.First), r.Count), byte(r.How))
}

func (r Renamed) append(b []byte) []byte { return text(binary.AppendUvarint(b, r.Number), r.Name) }

func (k Kept) append(b []byte) []byte { return text(binary.AppendUvarint(b, k.Number), k.Name) }

func (a Argument) append(b []byte) []byte {
	b = text(text(text(b, a.ID[:]), a.Name), a.Folder)
	return binary.AppendUvarint(binary.AppendUvarint(b, a.Entries), uint64(a.Bytes))
}

func (f Failed) append(b []byte) []byte {
	return text(binary.AppendUvarint(b, f.Number), f.Reason[:min(len(f.Reason), MaxReason)])
}

func (d Done) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, d.Released), d.Failed)
}

func (Alive) append(b []byte) []byte { return b }

// checkName refuses what is no name of one thing in a directory.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || len(name) > MaxPath {
		return malformed("a name of %d bytes, %.40q", len(name), name)
	}
	return nil
}

// check refuses what no honest jetsend says.
func (e *Entry) check() error {
	size := 0
	for _, name := range e.Path {
		if err := checkName(name); err != nil {
			return err
		}
		size += len(name) + 1
	}
	switch {
	case size > MaxPath:
		return malformed("a path of %d bytes", size)
	case e.Mode&^fs.ModePerm != 0:
		return malformed("mode %o", uint32(e.Mode))
	case e.Kind == Link && (e.Target == "" || len(e.Target) >= MaxPath || strings.Contains(e.Target, "\x00")):
		return malformed("a link's target of %d bytes", len(e.Target))
	}
	return nil
}

func (x *Extents) check() error {
	end := int64(0)
	for i, e := range x.List {
		if e.Length == 0 || e.Offset < end || i > 0 && e.Offset == end || e.Length > math.MaxInt64-e.Offset {
			return malformed("an extent of %d bytes at %d", e.Length, e.Offset)
		}
		end = e.Offset + e.Length
	}
	return nil
}

// checkRun refuses a run of numbers that has none, or does not end.
func checkRun(first, count uint64) error {
	if count == 0 || count > math.MaxUint64-first {
		return malformed("%d entries from %d", count, first)
	}
	return nil
}
