package transfer

import (
	"time"

	"jetsend/internal/journal"
	"jetsend/internal/profile"
	"jetsend/internal/source"
)

const (
	// archiveSuffix ends the name of a directory towards clients that get it as a
	// plain archive.
	archiveSuffix = ".tar"
	// unpackTime is how much longer a receiver may take to its receipt for each
	// file of a directory: every one of them is synced.
	unpackTime = 20 * time.Millisecond
)

// directoryOf is what a sealed offer says of a source, nil for a file.
func directoryOf(s *source.Source) *profile.Directory {
	if s.Tree == nil {
		return nil
	}
	return &profile.Directory{Manifest: s.Tree.Manifest, Files: s.Tree.Files}
}

// sourceOf is that of what comes with a manifest, nil for a file, as the journal has it.
func sourceOf(manifest []byte) journal.Source {
	if manifest == nil {
		return journal.SourceFile
	}
	return journal.SourceTree
}
