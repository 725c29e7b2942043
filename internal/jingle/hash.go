package jingle

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"jetsend/internal/xmltree"
)

// Hash is a <hash/> of XEP-0300 with its value.
type Hash struct {
	Algo  string // text name of the algorithm, such as "sha-256"
	Value []byte // the digest
}

// Element returns the <hash/>.
func (h Hash) Element() *xmltree.Element {
	return xmltree.New(NSHashes, "hash").Set("algo", h.Algo).SetText(base64.StdEncoding.EncodeToString(h.Value))
}

// digestSize is the length, in bytes, of a digest of algo; 0 when not known.
func digestSize(algo string) int {
	switch algo {
	case "md5":
		return 16
	case "sha-1":
		return 20
	case "sha-256", "sha3-256", "blake2b-256":
		return 32
	case "sha-512", "sha3-512", "blake2b-512":
		return 64
	}
	return 0
}

// parseHash reads a <hash/> of any name space. The value is base64 of the
// digest; hex, and Libervia's base64 of hex, are read as well when the length
// leaves no doubt. Empty and unreadable ones are not ok.
func parseHash(e *xmltree.Element) (Hash, bool) {
	algo := e.Attr("algo")
	text := strings.Join(strings.Fields(e.Text), "")
	if algo == "" || text == "" {
		return Hash{}, false
	}
	size := digestSize(algo)
	if v, err := hex.DecodeString(text); err == nil && size > 0 && len(v) == size {
		return Hash{Algo: algo, Value: v}, true
	}
	v, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return Hash{}, false
	}
	if inner, err := hex.DecodeString(string(v)); err == nil && size > 0 && len(inner) == size {
		v = inner
	}
	if len(v) == 0 || size > 0 && len(v) != size {
		return Hash{}, false
	}
	return Hash{Algo: algo, Value: v}, true
}

// HashesIn returns the hashes among the children of a <file/>, of any name space:
// with a nil value each that is there but cannot be read. <hash-used/> and empty
// ones have none yet and are left out.
func HashesIn(file *xmltree.Element) (out []Hash) {
	for _, x := range file.All("", "hash") {
		if x.Attr("algo") == "" || strings.TrimSpace(x.Text) == "" {
			continue
		}
		h, ok := parseHash(x)
		if !ok {
			h = Hash{Algo: x.Attr("algo")}
		}
		out = append(out, h)
	}
	return out
}
