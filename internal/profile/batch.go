package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"jetsend/internal/archive"
	"jetsend/internal/xmltree"
)

// MaxBatch bounds the files of one `send` that are asked for as one.
const MaxBatch = 1 << 20

// Batch says which of several files an offer is.
type Batch struct {
	ID           string // UUID
	Index, Count int    // Index counts from 1
	Bytes        int64  // of all files together
}

func (b *Batch) element() *xmltree.Element {
	return xmltree.New(NS, "batch").Set("id", b.ID).
		Set("index", strconv.Itoa(b.Index)).Set("count", strconv.Itoa(b.Count)).
		Set("bytes", strconv.FormatInt(b.Bytes, 10))
}

func parseBatch(x *xmltree.Element) (*Batch, error) {
	var index, count, bytes int64
	id, err := parseUUID(x.Attr("id"))
	err = errors.Join(err, countAttr(x, "index", &index), countAttr(x, "count", &count), countAttr(x, "bytes", &bytes))
	if err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	if index < 1 || count < index || count > MaxBatch {
		return nil, fmt.Errorf("batch: file %d of %d with %d bytes", index, count, bytes)
	}
	return &Batch{ID: id, Index: int(index), Count: int(count), Bytes: bytes}, nil
}

// Directory says in a sealed offer that the file is the archive of a directory,
// to be unpacked (docs/directories.md).
type Directory struct {
	// Manifest is the digest of what the archive is made of: the same one means
	// the same bytes.
	Manifest []byte
	Files    int // regular ones
}

func (d *Directory) element() *xmltree.Element {
	return xmltree.New(NS, "directory").Set("manifest", hex.EncodeToString(d.Manifest)).Set("files", strconv.Itoa(d.Files))
}

func parseDirectory(x *xmltree.Element) (*Directory, error) {
	var files int64
	manifest, err := hex.DecodeString(x.Attr("manifest"))
	if err := errors.Join(err, countAttr(x, "files", &files)); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	if len(manifest) != sha256.Size || files > archive.MaxEntries {
		return nil, fmt.Errorf("directory: %d files, manifest of %d bytes", files, len(manifest))
	}
	return &Directory{Manifest: manifest, Files: int(files)}, nil
}
