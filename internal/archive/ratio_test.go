package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"strings"
	"testing"
)

// claiming is an archive with one file whose header is a lie; the writer of the
// standard library makes no holes, so their names are put in afterwards.
func claiming(t *testing.T, h tar.Header, holes map[string]string) []byte {
	t.Helper()
	if holes != nil {
		h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{}
		for key, value := range holes {
			h.PAXRecords["JET.sparse."+key] = value
		}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "t/", Mode: 0o755}), w.WriteHeader(&h)); err != nil {
		t.Fatal(err)
	}
	forged := bytes.ReplaceAll(b.Bytes(), []byte("JET.sparse."), []byte("GNU.sparse."))
	return append(forged, make([]byte, 4096)...)
}

// The bytes that are unpacked are never more than those that came: neither by the
// size that a header claims, nor by holes, in any of the forms that they have in
// tar. Nothing is compressed, so there is no other ratio.
func TestRatio(t *testing.T) {
	const terabyte = "1099511627776"
	file := tar.Header{Typeflag: tar.TypeReg, Name: "t/s", Mode: 0o600}
	lie := file
	lie.Size = 1 << 40
	old := file
	old.Typeflag = tar.TypeGNUSparse
	archives := map[string][]byte{
		"a size that is a lie": claiming(t, lie, nil),
		"the old sparse type":  claiming(t, old, nil),
		"sparse of pax 0.0":    claiming(t, file, map[string]string{"size": terabyte, "numblocks": "0"}),
		"sparse of pax 0.1":    claiming(t, file, map[string]string{"size": terabyte, "numblocks": "1", "map": terabyte + ",0"}),
		"sparse of pax 1.0":    claiming(t, file, map[string]string{"major": "1", "minor": "0", "realsize": terabyte, "name": "t/s"}),
	}
	for name, b := range archives {
		limits := all
		limits.Bytes = int64(len(b)) // as inbox says it
		var refused *RefusedError
		if tree, err := newYard(t).extract(t, b, limits); !errors.As(err, &refused) {
			t.Errorf("%s: %+v, %v", name, tree, err)
		}
	}
	two := pack(t, dir("t/"), reg("t/a", strings.Repeat("x", 3000)), reg("t/b", strings.Repeat("x", 3000)))
	for most, ok := range map[int64]bool{6000: true, 5999: false} {
		limits := all
		limits.Bytes = most
		tree, err := newYard(t).extract(t, two, limits)
		if (err == nil) != ok || tree.Bytes > most {
			t.Errorf("%d bytes allowed: %+v, %v", most, tree, err)
		}
	}
}
