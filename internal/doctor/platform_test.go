package doctor

import (
	"slices"
	"strings"
	"testing"
)

func TestPlatform(t *testing.T) {
	if f := platformFinding("linux", "s390x"); f.Text != "linux/s390x" || f.Status != StatusOK {
		t.Errorf("%+v", f)
	}
	for _, system := range []string{"darwin", "android", "freebsd", "netbsd", "openbsd", "windows", "plan9"} {
		f := platformFinding(system, "amd64")
		d, ok := f.Details.(PlatformDetails)
		if !ok || d.System != system || len(d.Limits) == 0 || strings.Count(f.Text, ";") < len(d.Limits) {
			t.Errorf("%s: %+v", system, f)
		}
	}
	if !slices.Contains(limitsOf("android"), limitKeyring) {
		t.Error("Termux has no keyring")
	}
}
