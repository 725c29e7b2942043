package crypto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// hexBytes is a string of hexadecimal digits in a vector file.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// readVectors decodes a file of testdata.
func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// gcmVector is one test of AES-GCM in either file.
type gcmVector struct {
	ID           int `json:"tcId"` // in Wycheproof
	Case         int // in the specification
	Flags        []string
	Key, IV, AAD hexBytes
	Msg, CT, Tag hexBytes
	Result       string
}

// splits are the piece sizes that the vectors go through in.
var splits = []int{1, 3, 15, 16, 17, 1 << 20}

// checkGCM puts a vector through Encrypter and Decrypter in all splits.
func checkGCM(t *testing.T, v gcmVector, valid bool) {
	for _, split := range splits {
		if valid {
			want := append(bytes.Clone(v.CT), v.Tag...)
			if got := encryptPieces(t, mustSecret(t, v.Key, v.IV), v.Msg, split); !bytes.Equal(got, want) {
				t.Errorf("pieces of %d: ciphertext %x, want %x", split, got, want)
			}
		}
		wire := append(bytes.Clone(v.CT), v.Tag...)
		d, err := NewDecrypter(bytes.NewReader(wire), mustSecret(t, v.Key, v.IV), int64(len(v.CT)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := readPieces(d, split)
		switch {
		case valid && (err != nil || !bytes.Equal(got, v.Msg)):
			t.Errorf("pieces of %d: plaintext %x (%v), want %x", split, got, err, v.Msg)
		case !valid && !errors.Is(err, ErrAuthentication):
			t.Errorf("pieces of %d: invalid, yet %v", split, err)
		}
	}
}

// encryptPieces gives ciphertext and tag of data written in pieces.
func encryptPieces(t testing.TB, s *Secret, data []byte, piece int) []byte {
	t.Helper()
	var wire bytes.Buffer
	e, err := NewEncrypter(&wire, s)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 {
		n := min(piece, len(data))
		if m, err := e.Write(data[:n]); m != n || err != nil {
			t.Fatalf("write of %d bytes: %d, %v", n, m, err)
		}
		data = data[n:]
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return wire.Bytes()
}

// readPieces reads until an error, at most piece bytes at a time. The error is
// nil for io.EOF.
func readPieces(r io.Reader, piece int) ([]byte, error) {
	return io.ReadAll(struct{ io.Reader }{pieceReader{r, piece}})
}

type pieceReader struct {
	r     io.Reader
	piece int
}

func (p pieceReader) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.piece)]) }

func TestWycheproofGCM(t *testing.T) {
	var file struct {
		TestGroups []struct {
			KeySize, IVSize, TagSize int
			Tests                    []gcmVector
		}
	}
	readVectors(t, "aes_gcm_test.json", &file)
	ran := map[string]int{}
	for _, g := range file.TestGroups {
		if g.KeySize == 192 || g.IVSize != 96 && g.IVSize != 128 || g.TagSize != 128 {
			continue
		}
		for _, v := range g.Tests {
			if len(v.AAD) > 0 {
				continue
			}
			ran[fmt.Sprintf("%s key %d iv %d", v.Result, g.KeySize, g.IVSize)]++
			for _, f := range v.Flags {
				ran[f]++
			}
			t.Run(fmt.Sprint(v.ID), func(t *testing.T) { checkGCM(t, v, v.Result == "valid") })
		}
	}
	for kind, want := range map[string]int{
		"valid key 128 iv 96": 22, "valid key 128 iv 128": 19, "invalid key 128 iv 96": 27,
		"valid key 256 iv 96": 21, "valid key 256 iv 128": 19, "invalid key 256 iv 96": 27,
		"CounterWrap": 24, "ModifiedTag": 54,
	} {
		if ran[kind] != want {
			t.Errorf("%d vectors %s were run, want %d", ran[kind], kind, want)
		}
	}
}

func TestSpecificationGCM(t *testing.T) {
	var vectors []gcmVector
	readVectors(t, "gcm_spec.json", &vectors)
	if len(vectors) != 6 {
		t.Fatalf("%d vectors, want 6", len(vectors))
	}
	for _, v := range vectors {
		t.Run(fmt.Sprint(v.Case), func(t *testing.T) { checkGCM(t, v, true) })
	}
}

func TestWycheproofHKDF(t *testing.T) {
	var file struct {
		TestGroups []struct {
			Tests []struct {
				ID                   int `json:"tcId"`
				IKM, Salt, Info, OKM hexBytes
				Size                 int
				Result               string
			}
		}
	}
	readVectors(t, "hkdf_sha256_test.json", &file)
	ran := map[string]int{}
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			ran[v.Result]++
			got, err := derive(v.IKM, v.Salt, string(v.Info), v.Size)
			if v.Result != "valid" {
				if err == nil {
					t.Errorf("%d: %d bytes were derived", v.ID, v.Size)
				}
			} else if err != nil || !bytes.Equal(got, v.OKM) {
				t.Errorf("%d: %x (%v), want %x", v.ID, got, err, v.OKM)
			}
		}
	}
	if ran["valid"] != 83 || ran["invalid"] != 3 {
		t.Errorf("vectors run: %v, want 83 valid and 3 invalid", ran)
	}
}
