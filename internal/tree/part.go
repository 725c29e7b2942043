package tree

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"jetsend/internal/machine"
	"jetsend/internal/set"
)

// part is what is remembered of the one file whose data was coming: by what it is known
// again, and where its bytes are. How many, its length says.
type part struct {
	Argument int
	Key      []byte
	Size     int64
	Seconds  int64 // of its time
	Nanos    int
	Extents  []byte // SHA-256 of them
	Temp     string
	Room     string // path of the directory that the hidden one is in
}

const partFile = "part"

// temp is the name of the file; of no part, none.
func (p *part) temp() string {
	if p == nil {
		return ""
	}
	return p.Temp
}

func readPart(state string) (*part, error) {
	b, err := os.ReadFile(filepath.Join(state, partFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &part{}
	if json.Unmarshal(b, p) != nil || !strings.HasPrefix(p.Temp, tempPrefix) || strings.Contains(p.Temp, "/") {
		return nil, nil // a crash has left it: then there is none
	}
	return p, nil
}

// partOf is what is remembered of a file.
func (it *item) part() *part {
	h := sha256.New()
	for _, x := range it.extents {
		_, _ = fmt.Fprintf(h, "%d %d\n", x.Offset, x.Length)
	}
	return &part{
		Argument: it.arg.number, Key: []byte(it.key), Size: it.size, Seconds: it.mtime.Unix(), Nanos: it.mtime.Nanosecond(), Extents: h.Sum(nil),
		Temp: it.temp, Room: it.arg.room.parent.path,
	}
}

// is reports whether it is of that file.
func (p *part) is(o *part) bool {
	return p.Argument == o.Argument && string(p.Key) == string(o.Key) && p.Size == o.Size && p.Seconds == o.Seconds && p.Nanos == o.Nanos &&
		string(p.Extents) == string(o.Extents) && p.Room == o.Room
}

// remember writes down what is known of the file whose data comes.
func (t *Target) remember(it *item) error {
	b, err := json.Marshal(it.part())
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(t.state, partFile), b)
}

// resume takes up a file that was cut, if it is the one. What is here of it is in want.
func (t *Target) resume(it *item) (want set.Want, err error) {
	if t.part == nil || !t.part.is(it.part()) {
		return set.Want{}, nil
	}
	temp := t.part.Temp
	t.part = nil
	f, is, err := it.arg.room.hide.file(temp, true)
	if errors.Is(err, fs.ErrNotExist) {
		return set.Want{}, nil
	}
	if err != nil {
		return set.Want{}, err
	}
	it.f, it.temp = f, temp
	if is.links != 1 || is.owner != it.arg.room.owner || is.size == 0 {
		return set.Want{}, it.discard()
	}
	have := it.skip(is.size)
	if err := truncate(f, have); err != nil {
		return set.Want{}, errors.Join(err, it.discard())
	}
	if have == 0 {
		return set.Want{}, it.discard()
	}
	it.sum = set.NewSum(it.sparse)
	if err := it.sum.Read(&paid{t.ctx, f, t.cfg.Pay}, it.extents, have); err != nil {
		return set.Want{}, errors.Join(err, it.close())
	}
	it.have = have
	return set.Want{Have: have, SHA256: it.sum.Sum(nil)}, nil
}

// skip goes behind what a file of a length has, and returns where that ends: within data or
// at its end, and not in a hole.
func (it *item) skip(length int64) (have int64) {
	it.left, it.at = it.extents, 0
	for len(it.left) > 0 && it.left[0].Offset+it.left[0].Length <= length {
		have = it.left[0].Offset + it.left[0].Length
		it.left = it.left[1:]
	}
	if len(it.left) > 0 && it.left[0].Offset < length {
		have, it.at = length, length-it.left[0].Offset
	}
	return have
}

// truncate cuts a file.
func truncate(f *os.File, size int64) error {
	if err := machine.Before(machine.Truncate, filepath.Dir(f.Name()), filepath.Base(f.Name()), size); err != nil {
		return err
	}
	return f.Truncate(size)
}

// paid is a file that is read to be hashed, for which somebody pays.
type paid struct {
	ctx context.Context // of the reading
	f   *os.File
	pay func(ctx context.Context, chunks int) error
}

// chunk is what is paid for as one.
const chunk = 256 << 10

// ReadAt implements [io.ReaderAt].
func (p *paid) ReadAt(b []byte, at int64) (int, error) {
	if p.ctx.Err() != nil {
		return 0, context.Cause(p.ctx)
	}
	// The readings are shorter than a chunk, and each chunk is paid for once.
	if n := int((at+int64(len(b))+chunk-1)/chunk - (at+chunk-1)/chunk); n > 0 && p.pay != nil {
		if err := p.pay(p.ctx, n); err != nil {
			return 0, err
		}
	}
	return p.f.ReadAt(b, at)
}
