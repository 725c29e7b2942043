package local

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
)

// maxPath is how long the path of a socket may be, in bytes: what the systems with the
// shortest sun_path have, the BSDs and macOS, without the NUL.
const maxPath = 103

// Socket returns the socket that belongs to a file of state: beside it, or, where such a
// path would be too long for a socket, in short, a directory for sockets of the user's,
// under a name that only that file has. shared says which of them it is. It is empty where
// neither will do.
func Socket(file, short string) (path string, shared bool) {
	if path = file + ".sock"; len(path) <= maxPath {
		return path, false
	}
	sum := sha256.Sum256([]byte(file))
	path = filepath.Join(short, "jetsend", hex.EncodeToString(sum[:8])+".sock")
	if short == "" || len(path) > maxPath {
		return "", false
	}
	return path, true
}
