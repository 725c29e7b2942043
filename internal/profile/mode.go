package profile

import (
	"fmt"
	"io/fs"
	"strconv"
)

// formatMode writes permission bits for a sealed offer: octal digits.
func formatMode(m fs.FileMode) string { return strconv.FormatUint(uint64(m.Perm()), 8) }

// parseMode reads them; none is 0. Anything beyond permissions, setuid above all,
// is not a mode.
func parseMode(text string) (fs.FileMode, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 8, 16)
	if err != nil || n > uint64(fs.ModePerm) {
		return 0, fmt.Errorf("mode %.20q", text)
	}
	return fs.FileMode(n), nil
}
