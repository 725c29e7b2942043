package state

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"jetsend/internal/jid"
)

// maxName bounds the file name in bytes: most file systems take 255, and SQLite
// appends "-wal" and "-shm".
const maxName = 200

// extension ends the name of every state file.
const extension = ".db"

// Path returns the name of the state file of an account in the directory dir.
// It is made of the bare JID, with every byte that a file system might mind
// written as %XX; of an overlong address the tail is replaced by a hash.
// Different bare JIDs have different files.
func Path(dir string, account jid.JID) string {
	bare := account.Bare().String()
	var name strings.Builder
	for i := range len(bare) {
		if c := bare[i]; plain(c) && (c != '.' || i > 0) {
			name.WriteByte(c)
		} else {
			fmt.Fprintf(&name, "%%%02X", c)
		}
	}
	s := name.String()
	if len(s) > maxName {
		sum := sha256.Sum256([]byte(bare))
		s = s[:maxName-1-hex.EncodedLen(len(sum))] + "~" + hex.EncodeToString(sum[:])
	}
	return filepath.Join(dir, s+extension)
}

// plain reports whether a byte stands for itself in a file name.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("@.-_", c) >= 0
}
