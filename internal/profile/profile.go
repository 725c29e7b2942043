// Package profile is jetsend:1 as XML: what two jetsends tell each other under the
// transport secret of a session, beyond XEP-0391 and XEP-0396 (docs/protocol.md). The
// offer travels in the OMEMO envelope behind that secret; accept, checksum, receipt and
// reason are sealed with it. Everything here is a value that is written or read: nothing
// is sent, stored or waited for.
package profile

import (
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"jetsend/internal/xmltree"
)

// NS is the disco feature of the profile and the name space of its elements.
const NS = "jetsend:1"

// countAttr reads a number of bytes or files: decimal digits, and at least one.
// A sign, white space, nothing at all and what an int64 does not hold are errors.
func countAttr(x *xmltree.Element, name string, to *int64) error {
	n, err := strconv.ParseUint(x.Attr(name), 10, 63)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	*to = int64(n)
	return nil
}

// parseUUID accepts the one canonical form: the id becomes part of a file name.
func parseUUID(s string) (string, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return "", fmt.Errorf("transfer id %q: %w", s, err)
	}
	if u.String() != s {
		return "", fmt.Errorf("transfer id %q is not in its canonical form", s)
	}
	return s, nil
}
