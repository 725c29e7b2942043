package main

import (
	"cmp"

	"jetsend/internal/clean"
	"jetsend/internal/event"
)

// entryLine says why something in a directory does not arrive.
func entryLine(e event.Entry) string {
	where := clean.Text(e.Name)
	if path := clean.Text(e.Where()); path != "" {
		where += "/" + path
	}
	return where + ": " + cmp.Or(clean.Text(e.Reason), "failed")
}
