// Package outset is a set on its way out: the index of what is sent, with what the journal
// and the sealed offer say of it.
package outset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/clean"
	"jetsend/internal/exclude"
	"jetsend/internal/filename"
	"jetsend/internal/index"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/profile"
	"jetsend/internal/set"
	"jetsend/internal/source"
	"jetsend/internal/together"
)

// Fits reports whether what is named goes as a set to a contact who takes them: more than
// one thing, but no more than a set holds; a folder, or a file with holes. Inputs do not.
func Fits(named []source.Named) bool {
	if len(named) > set.MaxArguments || slices.ContainsFunc(named, func(n source.Named) bool { return n.Input != nil }) {
		return false
	}
	if len(named) > 1 {
		return true
	}
	info, err := os.Stat(named[0].Path)
	return err == nil && (info.IsDir() || index.Sparse(named[0].Path))
}

// Lister lists sets.
type Lister struct {
	Dir     string // for the lines
	Journal *journal.Journal
	Look    bool // it is only looked at: no folder gets an id
}

// Set is one, as it was listed.
type Set struct {
	*index.Index
	listed time.Time // before the first look
	reader *together.Reader
}

// ReadBy has the files of the set read by a reader, together with all who send the same.
func (s *Set) ReadBy(r *together.Reader) { s.reader = r }

// Open implements [set.Listing].
func (s *Set) Open(it *set.Item) (set.Content, error) {
	c, err := s.Index.Open(it)
	if err != nil || s.reader == nil {
		return c, err
	}
	return shared{c, s.reader.Share(s.Called(it), c)}, nil
}

// shared is a file that is read together with others.
type shared struct {
	set.Content
	reads io.ReaderAt
}

// ReadAt implements [io.ReaderAt].
func (s shared) ReadAt(p []byte, off int64) (int, error) { return s.reads.ReadAt(p, off) }

// List lists what is named, to be sent to a contact. checksum has it all read. An argument
// that cannot be opened is an error.
func (l Lister) List(ctx context.Context, to jid.JID, named []source.Named, checksum bool) (*Set, error) {
	return l.list(ctx, to, named, index.Options{Checksum: checksum})
}

func (l Lister) list(ctx context.Context, to jid.JID, named []source.Named, opt index.Options) (*Set, error) {
	id := l.Journal.FolderID
	if l.Look {
		id = l.Journal.KnownFolderID
	}
	opt.Folder = func(path string) ([]byte, error) { return id(ctx, to, path) }
	now := time.Now()
	ix, err := index.Make(ctx, named, l.Dir, opt)
	if err != nil {
		return nil, err
	}
	return &Set{Index: ix, listed: now}, nil
}

// Again lists a set that was sent before, as it is now.
func (l Lister) Again(ctx context.Context, row *journal.Row) (*Set, error) {
	all, err := l.Journal.ArgumentsOf(ctx, row.Key)
	if err != nil {
		return nil, err
	}
	var named []source.Named
	for _, a := range all {
		left, err := exclude.Parse(a.Exclude)
		if err != nil {
			return nil, err
		}
		named = append(named, source.Named{Path: a.Path, Name: a.Name, Exclude: left})
	}
	if len(named) != row.Items || len(named) == 0 {
		return nil, fmt.Errorf("%w: %d of %d arguments are known", source.ErrChanged, len(named), row.Items)
	}
	return l.list(ctx, row.Peer, named, index.Options{Again: true})
}

// Source is the set as something to send.
func (s *Set) Source() *source.Source {
	return &source.Source{Data: data{s.Index}, Name: s.label(), Size: s.Bytes(), Items: len(s.Arguments())}
}

// data is that of a set, which is read file by file.
type data struct{ *index.Index }

// ReadAt implements source.Data.
func (data) ReadAt([]byte, int64) (int, error) {
	return 0, fmt.Errorf("read a set: %w", errors.ErrUnsupported)
}

// Unchanged implements source.Data: each file is looked at for itself.
func (data) Unchanged(context.Context) error { return nil }

// label is what the whole is called.
func (s *Set) label() string {
	args := s.Arguments()
	if more := len(args) - 1; more > 0 {
		return fmt.Sprintf("%s and %d more", args[0].Name, more)
	}
	return args[0].Name
}

// Entries are the arguments as the journal has them.
func (s *Set) Entries() (all []journal.Argument) {
	for i, a := range s.Arguments() {
		all = append(all, journal.Argument{
			Number: i, Name: a.Name, Path: a.Path, Exclude: a.Exclude, Folder: a.Directory, Size: a.Bytes, Entries: int64(a.Entries),
		})
	}
	return all
}

// maxListed is how many arguments are listed in an offer at most. Fewer may fit.
const maxListed = 100

// Sealed is what a sealed offer says of it.
func (s *Set) Sealed() *profile.Set {
	args := s.Arguments()
	o := &profile.Set{Items: len(args), Entries: int64(s.Index.Entries()), Bytes: s.Bytes()}
	for _, a := range args[:min(len(args), maxListed)] {
		o.Listed = append(o.Listed, profile.Listed{Name: strings.ToValidUTF8(a.Name, "\uFFFD"), Directory: a.Directory, Bytes: a.Bytes, Entries: int64(a.Entries)})
	}
	return o
}

// Begin has the index begin, in a session of the transfer with that id.
func (s *Set) Begin(transfer string) set.Listing {
	items := len(s.Arguments())
	s.Rewind(func(number int) uuid.UUID {
		id, _ := uuid.Parse(journal.ArgumentID(transfer, number, items)) // of a row, which has one
		return id
	})
	return s.Index
}

// maxRenamed bounds the texts about names.
const maxRenamed = 10

// Renamed says, for people, which arguments have another name at a jetsend that receives
// them, as far as that can be known here.
func (s *Set) Renamed() (texts []string) {
	more := 0
	for _, a := range s.Arguments() {
		switch safe := filename.Safe(a.Name); {
		case safe == a.Name:
		case len(texts) == maxRenamed:
			more++
		default:
			texts = append(texts, fmt.Sprintf("%s arrives as %s at another jetsend", clean.Text(a.Name), safe))
		}
	}
	if more > 0 {
		texts = append(texts, fmt.Sprintf("%d more arrive under other names", more))
	}
	return texts
}

// LeftOut says, for people, of what is known not to come.
func (s *Set) LeftOut() (texts []string) {
	for _, a := range s.Arguments() {
		name := clean.Text(a.Name)
		for _, l := range a.Left {
			texts = append(texts, fmt.Sprintf("%s: left out %s: %s", name, clean.Text(l.Path), l.Reason))
		}
		if more := a.LeftOut - len(a.Left); more > 0 {
			texts = append(texts, fmt.Sprintf("%s: %d more are left out", name, more))
		}
		if a.Failed > 0 {
			texts = append(texts, fmt.Sprintf("%s: %d of %d entries cannot be sent", name, a.Failed, a.Entries))
		}
	}
	return texts
}

// Grown reports whether it has more than is known of it, of which row is. A new offer can say
// that.
func (s *Set) Grown(row *journal.Row, known []journal.Argument) bool {
	entries := int64(0)
	for _, a := range known {
		entries += a.Entries
	}
	return s.Bytes() > row.Size || int64(s.Index.Entries()) > entries
}
