package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"jetsend/internal/archive"
	"jetsend/internal/clean"
	"jetsend/internal/filename"
)

// maxSkippedShown bounds the warnings about what is not in an archive.
const maxSkippedShown = 10

// Tree is what is known of a directory beside its archive.
type Tree struct {
	// Manifest is the digest of what the archive is made of: the same one means the
	// same bytes.
	Manifest []byte
	Files    int // regular ones
	// Exclude is the text of the patterns of entries that were left out.
	Exclude string

	skipped []archive.Skipped
}

func openTree(ctx context.Context, path string, n Named, info fs.FileInfo) (*Source, error) {
	var excluded archive.Excluded
	if n.Exclude != nil {
		excluded = n.Exclude.Excludes
	}
	m, err := archive.Scan(ctx, path, excluded)
	if err != nil {
		return nil, err
	}
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	digest := m.Digest()
	files, _ := m.Files()
	return &Source{
		Data: &tree{r}, Path: path, Name: cmp.Or(n.Name, m.Name()), Size: m.Size(), MTime: info.ModTime(), Origin: m.Origin(),
		Tree: &Tree{Manifest: digest[:], Files: files, Exclude: n.Exclude.String(), skipped: m.Skipped()},
	}, nil
}

// tree is the data of a directory: its archive.
type tree struct{ *archive.Reader }

// ReadAt implements Data.
func (t *tree) ReadAt(p []byte, off int64) (int, error) {
	if _, err := t.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := t.Read(p)
	if n < len(p) && err == nil {
		err = io.EOF
	}
	return n, changed(err)
}

// Unchanged implements Data.
func (t *tree) Unchanged(ctx context.Context) error { return changed(t.Reader.Unchanged(ctx)) }

// changed makes ErrChanged of what the archive says about a change.
func changed(err error) error {
	var c *archive.ChangedError
	if errors.As(err, &c) {
		return fmt.Errorf("%w: %s", ErrChanged, clean.Error(c))
	}
	return err
}

// LeftOut says what is not in the archive of a directory, in texts for the user: the
// first of it, and how much more there is.
func (s *Source) LeftOut() (texts []string) {
	if s.Tree == nil {
		return nil
	}
	name, skipped := clean.Text(s.Name), s.Tree.skipped
	for _, k := range skipped[:min(len(skipped), maxSkippedShown)] {
		texts = append(texts, fmt.Sprintf("%s: left out %s: %s", name, clean.Text(k.Path), clean.Text(k.Reason)))
	}
	if more := len(skipped) - maxSkippedShown; more > 0 {
		texts = append(texts, fmt.Sprintf("%s: %d more are left out", name, more))
	}
	return texts
}

// Renamed is the name of the source at a jetsend that receives it, as far as that can be
// known here, when it is another one, with a text for the user.
func (s *Source) Renamed() (name, text string) {
	safe := filename.Safe(s.Name)
	if safe == s.Name {
		return "", ""
	}
	return safe, fmt.Sprintf("%s arrives as %s at another jetsend", clean.Text(s.Name), safe)
}
