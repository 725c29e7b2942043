package sink

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"jetsend/internal/filename"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

// maxFolder leaves room for the hash in the name of a folder.
const maxFolder = filename.MaxBytes - 1 - 16

// folderName is the name of the folder of a contact: the bare JID where that can
// be a file name, else what is left of it with a hash, so that no two contacts
// have the same folder.
func folderName(who jid.JID) string {
	bare := who.Bare().String()
	name := filename.Component(bare)
	if name == bare {
		return name
	}
	sum := sha256.Sum256([]byte(bare))
	name = strings.ToValidUTF8(name[:min(len(name), maxFolder)], "")
	return filename.Component(name + "~" + hex.EncodeToString(sum[:8]))
}

// openDir opens the directory of a transfer that was begun before: the folder of
// its contact by the rules for these.
func openDir(row *journal.Row) (*inbox.Dir, error) {
	if filepath.Base(row.Dir) == folderName(row.Peer) {
		return inbox.OpenFolder(row.Dir)
	}
	return inbox.Open(row.Dir)
}

// Open opens the directory for what a contact sends, in the download directory or that
// itself. It is opened by its name for every offer: in the time of a run somebody may put
// another one in its place, or mount a disk there. The caller closes it, or gives it to
// [Store.Take].
func (o Options) Open(root *inbox.Dir, who jid.JID) (*inbox.Dir, error) {
	dir, err := inbox.Open(root.Path(""))
	if err != nil || !o.PerSender {
		return dir, err
	}
	defer func() { _ = dir.Close() }() // nothing was written to it
	return dir.Sub(folderName(who))
}

// Taken is [inbox.ErrExists] when a rule forbids what a contact offers under the safe name
// because that is taken, or [inbox.ErrCrowded] when no name is left for it. Directories are
// never overwritten. As in Open, it is about what is there now.
func (o Options) Taken(root *inbox.Dir, who jid.JID, name string, directory bool) error {
	dir := root.Path("")
	if o.PerSender {
		dir = root.Path(folderName(who))
	}
	switch {
	case o.Out != nil:
		return nil
	case o.Conflict.Counts():
		if inbox.Crowded(dir, name) {
			return inbox.ErrCrowded
		}
		return nil
	case o.Conflict == inbox.Overwrite && !directory:
		return nil
	}
	if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
		return inbox.ErrExists
	}
	return nil
}

// Fits is [inbox.ErrNoSpace] when there is no room for the whole of a transfer.
func (o Options) Fits(dir *inbox.Dir, row *journal.Row) error {
	return dir.Fits(row.Size, o.spare(row))
}

// spare is what must stay free beside the partial file of a row: a directory is
// there twice while it is unpacked.
func (o Options) spare(row *journal.Row) int64 {
	if row.Source != journal.SourceTree {
		return o.MinFree
	}
	return o.MinFree + row.Size
}
