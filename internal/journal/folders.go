package journal

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"jetsend/internal/jid"
)

// FolderIDSize is the length of the id of a folder.
const FolderIDSize = 16

// Folder is a folder that goes to a contact, or comes from one, again and again: by its
// id, which the sender has drawn, both ends know that it is the same one. It is remembered
// for as long as it exists, whatever becomes of the transfers.
type Folder struct {
	Peer      jid.JID // the resource does not matter
	Direction Direction
	ID        []byte
	Path      string // absolute
	// Device and Inode are those of what a transfer put there; 0 when sending.
	Device, Inode uint64
}

// FolderID returns the id by which a contact knows the folder that is sent from a path: the
// one that was drawn before, or a new one.
func (j *Journal) FolderID(ctx context.Context, to jid.JID, path string) (id []byte, err error) {
	f := Folder{Peer: to, Direction: Send, Path: path, ID: make([]byte, FolderIDSize)}
	_, _ = rand.Read(f.ID) // never fails, see crypto/rand.Read
	err = f.check()
	if err == nil {
		err = j.write(ctx, func(tx *sql.Tx) error {
			old, err := findFolder(ctx, tx, `peer = ? AND direction = 'send' AND path = ?`, to.Bare().String(), path)
			switch {
			case err == nil:
				id = old.ID
			case errors.Is(err, ErrUnknown):
				id, err = f.ID, saveFolder(ctx, tx, &f)
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("id of the folder %q: %w", path, err)
	}
	return id, nil
}

// KnownFolderID is FolderID for who only looks: nil when no id was drawn.
func (j *Journal) KnownFolderID(ctx context.Context, to jid.JID, path string) (id []byte, err error) {
	err = j.look(ctx, func(tx *sql.Tx) error {
		f, err := findFolder(ctx, tx, `peer = ? AND direction = 'send' AND path = ?`, to.Bare().String(), path)
		id = f.ID
		return err
	})
	if err != nil && !errors.Is(err, ErrUnknown) {
		return nil, fmt.Errorf("id of the folder %q: %w", path, err)
	}
	return id, nil
}

// SendsFolder reports whether an id is that of a folder that is sent to some contact.
func (j *Journal) SendsFolder(ctx context.Context, id []byte) (known bool, err error) {
	err = j.look(ctx, func(tx *sql.Tx) error {
		folders, err := findFolders(ctx, tx, `direction = 'send' AND folder_id = ?`, id)
		known = len(folders) > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("folder that is sent: %w", err)
	}
	return known, nil
}

// Folder returns the folder that stands for an id of a contact; else ErrUnknown.
func (j *Journal) Folder(ctx context.Context, peer jid.JID, direction Direction, id []byte) (f Folder, err error) {
	err = j.look(ctx, func(tx *sql.Tx) error {
		f, err = findFolder(ctx, tx, `peer = ? AND direction = ? AND folder_id = ?`, peer.Bare().String(), string(direction), id)
		return err
	})
	if err != nil {
		return Folder{}, fmt.Errorf("folder of %s: %w", peer.Bare(), err)
	}
	return f, nil
}

// RememberFolder records which folder stands for an id of a contact from now on. One
// that was at its path before is forgotten, of whichever contact it came.
func (j *Journal) RememberFolder(ctx context.Context, f Folder) error {
	err := f.check()
	if err == nil {
		err = j.write(ctx, func(tx *sql.Tx) error { return saveFolder(ctx, tx, &f) })
	}
	if err != nil {
		return fmt.Errorf("remember the folder %q: %w", f.Path, err)
	}
	return nil
}

func (f *Folder) check() error {
	switch {
	case f.Peer.IsZero():
		return errors.New("no peer")
	case f.Direction != Send && f.Direction != Receive:
		return fmt.Errorf("direction %q", f.Direction)
	case len(f.ID) != FolderIDSize:
		return fmt.Errorf("an id of %d bytes", len(f.ID))
	case !filepath.IsAbs(f.Path):
		return fmt.Errorf("path %q is not absolute", f.Path)
	}
	return nil
}

func saveFolder(ctx context.Context, tx *sql.Tx, f *Folder) error {
	const query = `INSERT OR REPLACE INTO folders (peer, direction, folder_id, path, device, inode) VALUES (?, ?, ?, ?, ?, ?)`
	if f.Direction == Receive { // whoever had a folder there has none any more
		if _, err := tx.ExecContext(ctx, `DELETE FROM folders WHERE direction = 'receive' AND path = ?`, f.Path); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, query, f.Peer.Bare().String(), string(f.Direction), f.ID, f.Path, int64(f.Device), int64(f.Inode))
	return err
}

// findFolder returns the one folder that the condition selects, or ErrUnknown.
func findFolder(ctx context.Context, tx *sql.Tx, where string, args ...any) (Folder, error) {
	folders, err := findFolders(ctx, tx, where, args...)
	if err == nil && len(folders) == 0 {
		err = ErrUnknown
	}
	if err != nil {
		return Folder{}, err
	}
	return folders[0], nil
}

func findFolders(ctx context.Context, tx *sql.Tx, where string, args ...any) (out []Folder, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT peer, direction, folder_id, path, device, inode FROM folders WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // errors show in rows.Err
	for rows.Next() {
		var f Folder
		var peer string
		var device, inode int64
		if err := rows.Scan(&peer, &f.Direction, &f.ID, &f.Path, &device, &inode); err != nil {
			return nil, err
		}
		if f.Peer, err = jid.Parse(peer); err != nil {
			return nil, err
		}
		f.Device, f.Inode = uint64(device), uint64(inode)
		out = append(out, f)
	}
	return out, rows.Err()
}

// FolderPaths are the paths of all folders that came from contacts.
func (j *Journal) FolderPaths(ctx context.Context) (paths []string, err error) {
	err = j.look(ctx, func(tx *sql.Tx) error {
		folders, err := findFolders(ctx, tx, `direction = 'receive'`)
		for i := range folders {
			paths = append(paths, folders[i].Path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("folders that came: %w", err)
	}
	return paths, nil
}

// ForgetFolders forgets the folders that are no more: those with nothing at their path. One
// that cannot be looked at at the moment stays. Another one at the same path is for whoever
// compares device and inode. [Journal.Expire] calls it.
func (j *Journal) ForgetFolders(ctx context.Context) error {
	var folders []Folder
	err := j.look(ctx, func(tx *sql.Tx) (err error) {
		folders, err = findFolders(ctx, tx, `true`)
		return err
	})
	for i := 0; err == nil && i < len(folders); i++ {
		if _, gone := os.Lstat(folders[i].Path); errors.Is(gone, fs.ErrNotExist) {
			err = j.forgetFolder(ctx, &folders[i])
		}
	}
	if err != nil {
		return fmt.Errorf("forget folders: %w", err)
	}
	return nil
}

func (j *Journal) forgetFolder(ctx context.Context, f *Folder) error {
	const query = `DELETE FROM folders WHERE peer = ? AND direction = ? AND folder_id = ? AND path = ?`
	return j.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, f.Peer.Bare().String(), string(f.Direction), f.ID, f.Path)
		return err
	})
}
