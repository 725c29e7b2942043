package profile

import (
	"fmt"

	"jetsend/internal/xmltree"
)

// What fits into a sealed offer of a description and of a name that the user gives, one
// beside the other, in bytes as XML: there a quote or a line break takes five.
const (
	maxDescription = 8 << 10
	maxGivenName   = 4 << 10
)

// CheckDescription refuses a description that does not fit into a sealed offer.
func CheckDescription(text string) error { return fits("description", text, maxDescription) }

// CheckName refuses a name, as the user gives it, that does not fit into a sealed offer.
func CheckName(text string) error { return fits("name", text, maxGivenName) }

func fits(what, text string, most int) error {
	if n := len(xmltree.AppendEscaped(nil, text)); n > most {
		return fmt.Errorf("a %s of %d bytes as XML; at most %d fit", what, n, most)
	}
	return nil
}
