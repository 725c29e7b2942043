// Package records is a bytestream as the session of records of a set: encrypted both ways,
// within the rates, and given up when nothing at all moves.
package records

import (
	"bufio"
	"context"
	"io"

	"jetsend/internal/crypto"
	"jetsend/internal/dialect"
	"jetsend/internal/route"
	"jetsend/internal/set"
	"jetsend/internal/stream"
)

// readSize is how much is read from a path at once: several records.
const readSize = 4 * crypto.MaxRecord

// Open begins the records of a session that was agreed on, over its path. What waits for a
// rate ends with ctx.
func Open(ctx context.Context, d dialect.Dialect, p *route.Path, out, in *stream.Rate) (set.Records, error) {
	conn := stream.Limited(ctx, p, out, in)
	w, r, err := d.Records(struct {
		io.Reader
		io.Writer
	}{bufio.NewReaderSize(conn, readSize), conn}, p.SID)
	if err != nil {
		return nil, err
	}
	return &records{w, r, p}, nil
}

// records are both directions of a path.
type records struct {
	w *crypto.RecordWriter
	r *crypto.RecordReader
	p *route.Path
}

// WriteRecord implements [set.Records].
func (r *records) WriteRecord(p []byte, final bool) error { return r.w.Write(p, final) }

// ReadRecord implements [set.Records].
func (r *records) ReadRecord() ([]byte, error) { return r.r.Read() }

// Close implements [set.Records].
func (r *records) Close() error { return r.p.Conn.Close() }
