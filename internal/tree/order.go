package tree

import (
	"slices"
	"strings"

	"jetsend/internal/archive"
	"jetsend/internal/set"
)

// order holds the entries of one argument against the order that an index has. It
// remembers the path of the latest entry alone.
type order struct {
	last      []string // path of the latest entry
	directory bool     // what that was
	begun     bool
}

// check takes the next entry. The order makes sure that no path comes twice, and that
// every entry is in a directory that came right before what is in it.
func (o *order) check(e *set.Entry) error {
	p := e.Path
	switch {
	case !o.begun && len(p) > 0:
		return set.Refuse("an argument that does not begin with its root")
	case !o.begun && e.Kind == set.Link:
		return set.Refuse("an argument that is a link")
	case o.begun && len(p) == 0:
		return set.Refuse("the root of an argument comes twice")
	case len(e.Target) >= set.MaxPath, e.Kind == set.Link && (e.Target == "" || strings.Contains(e.Target, "\x00")):
		return set.Refuse("a link's target of %d bytes", len(e.Target))
	case len(p) > archive.MaxDepth:
		return set.Refuse("an entry %d levels deep", len(p))
	}
	size := 0
	for _, name := range p {
		if size += len(name) + 1; size > set.MaxPath {
			return set.Refuse("a path of more than %d bytes", set.MaxPath)
		}
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return set.Refuse("a name %.40q", name)
		}
	}
	if o.begun {
		if err := o.follows(p); err != nil {
			return err
		}
	}
	o.last, o.directory, o.begun = p, e.Kind == set.Directory, true
	return nil
}

// follows reports whether a path may come behind the latest one.
func (o *order) follows(p []string) error {
	open := o.last // directories that an entry may be in
	if !o.directory {
		open = open[:max(len(open)-1, 0)]
	}
	above := len(p) - 1
	switch {
	case !o.directory && len(o.last) == 0:
		return set.Refuse("an entry below a file")
	case above > len(open) || !slices.Equal(open[:above], p[:above]):
		return set.Refuse("an entry that is in no directory of the moment")
	case len(o.last) > above && p[above] <= o.last[above]:
		return set.Refuse("entries that do not ascend")
	}
	return nil
}

// checkExtents refuses extents that do not ascend within the size, and returns the bytes
// of data that a file has.
func checkExtents(e *set.Entry, x []set.Extent) (int64, error) {
	switch {
	case e.Kind != set.File:
		if len(x) > 0 || e.Size != 0 {
			return 0, set.Refuse("extents or a size of what is no file")
		}
		return 0, nil
	case e.Size < 0:
		return 0, set.Refuse("a size of %d", e.Size)
	case e.Extents < 0 && len(x) > 0, e.Extents >= 0 && len(x) != e.Extents, len(x) > set.MaxExtents:
		return 0, set.Refuse("%d extents, where %d were announced", len(x), e.Extents)
	case e.Extents < 0:
		return e.Size, nil
	}
	var data, end int64
	for i, one := range x {
		if one.Length <= 0 || one.Offset < 0 || i > 0 && one.Offset <= end || one.Offset > e.Size || one.Length > e.Size-one.Offset {
			return 0, set.Refuse("an extent of %d bytes at %d of %d", one.Length, one.Offset, e.Size)
		}
		data += one.Length
		end = one.Offset + one.Length
	}
	return data, nil
}
