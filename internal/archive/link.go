package archive

import (
	"path"
	"strings"
)

// Inside reports whether a symbolic link in a directory that is depth levels
// below the top leads to a place below the top, and returns its target without
// what says nothing ("./", "//", a slash at the end).
//
// All steps up must come first. Behind a name they would start wherever that
// name leads, which may be another link: with "x -> .", "x/.." is the parent
// of the top although it reads like the top. When they come first, they start
// in the directory of the link, which is a real one; so by induction over the
// links on the way no chain of such links leads out.
func Inside(depth int, target string) (string, bool) {
	if target == "" || strings.HasPrefix(target, "/") || len(target) > maxPath {
		return "", false
	}
	down := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; down || depth < 0 {
				return "", false
			}
		default:
			down = true
		}
	}
	return path.Clean(target), true
}

// depth returns how many directories stand above the entry at p, which is
// relative to the top.
func depth(p string) int { return strings.Count(p, "/") }
