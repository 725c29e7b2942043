//go:build !linux

package pair

import "os"

// maxRSS is not known here: systems do not agree on the unit.
func maxRSS(*os.ProcessState) int64 { return 0 }
