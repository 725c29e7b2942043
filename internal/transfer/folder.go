package transfer

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

// folder is the directory for what a contact sends, which settleFolder sees to. It
// is opened by its name for every offer: in the time of a run somebody may put
// another one in its place, or mount a disk there.
func (r *receiver) folder(t *terms, who jid.JID) (*inbox.Dir, error) {
	dir, err := inbox.Open(r.dir.Path(""))
	if err != nil || !t.PerSender {
		return dir, err
	}
	sub, err := dir.Sub(folderName(who))
	if cerr := dir.Close(); cerr != nil {
		r.e.log.Warn("close download directory", "error", cerr)
	}
	return sub, err
}

// openDir opens the directory of a transfer that was begun before: the folder of
// its contact by the rules for these.
func openDir(row *journal.Row) (*inbox.Dir, error) {
	if filepath.Base(row.Dir) == folderName(row.Peer) {
		return inbox.OpenFolder(row.Dir)
	}
	return inbox.Open(row.Dir)
}

// settleFolder leaves the folder to the download that took it, and closes it when
// none did.
func (r *receiver) settleFolder(d *download, dir *inbox.Dir, err error) {
	if err == nil && d.dir == dir {
		d.own = true
		return
	}
	if cerr := dir.Close(); cerr != nil {
		r.e.log.Warn("close folder", "error", cerr)
	}
}

// taken is [inbox.ErrExists] when a rule forbids what is offered because its name is
// taken, or when no name is left for it. Directories are never overwritten. As in folder,
// it is about what is there now.
func (in *incoming) taken() error {
	dir := in.r.dir.Path("")
	if in.terms.PerSender {
		dir = in.r.dir.Path(folderName(in.sess.Peer()))
	}
	switch {
	case in.terms.Out != nil:
		return nil
	case in.terms.OnConflict == inbox.Rename:
		if inbox.Crowded(dir, in.down.name) {
			return inbox.ErrCrowded
		}
		return nil
	case in.terms.OnConflict == inbox.Overwrite && in.talk.d.Sealed().Manifest() == nil:
		return nil
	}
	if _, err := os.Lstat(filepath.Join(dir, in.down.name)); err == nil {
		return inbox.ErrExists
	}
	return nil
}
