package fault

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/inbox"
	"jetsend/internal/omemo"
)

// NoOMEMO is the hint for a contact without devices, or whose server tells none.
const NoOMEMO = "ask the contact to turn OMEMO on, or to run `jetsend login`"

// Longer is the hint to wait longer than a time that was not enough, with a flag.
func Longer(flag string, least, had time.Duration) string {
	return fmt.Sprintf("wait longer with `--%s %dm`", flag, int(max(least, 2*had).Minutes()))
}

// DamagedHints are what helps with a state file that is damaged; no path, when it is
// not known which one it is.
func DamagedHints(path string) []string {
	hints := []string{"restore the state directory from a backup"}
	if path != "" { // with what belongs to it: SQLite would play an old log back into a new file
		away := clean.Argument(filepath.Join(filepath.Dir(path), "damaged"))
		hints = append(hints, "or move it away with `mkdir -p "+away+" && mv "+clean.Argument(path)+"* "+away+
			"`: the next run makes a new device, whose key your contacts have to verify, and interrupted transfers are lost")
	}
	return hints
}

// Grouped is a fingerprint in groups of eight, as people compare it.
func Grouped(fingerprint string) string {
	const group = 8
	var parts []string
	for chunk := range slices.Chunk([]byte(fingerprint), group) {
		parts = append(parts, string(chunk))
	}
	return strings.Join(parts, " ")
}

// folderHints say how the folder of a contact becomes one that is used.
func folderHints(f *inbox.FolderError) []string {
	path := clean.Argument(clean.Text(f.Path))
	if f.Writable {
		return []string{"run `chmod go-w " + path + "`, or leave --per-sender out"}
	}
	return []string{"move it away: `mv " + path + " " + clean.Argument(clean.Text(f.Path)+".old") + "`, or name another directory with --dir"}
}

// TrustHints name the key that is not used, and the command that would make it
// so, once it was compared.
func TrustHints(t *omemo.TrustError) []string {
	who := clean.Text(t.JID.String())
	verify := strings.TrimSpace("jetsend trust verify " + clean.Argument(who) + " " + t.Fingerprint)
	switch t.Kind {
	case omemo.Changed:
		return []string{
			fmt.Sprintf("device %d shows the key %s, not %s: compare it with %s in another way", t.Device, Grouped(t.Fingerprint), Grouped(t.Known), who),
			"only if their device really shows it, run `" + verify + "`",
		}
	case omemo.Revoked:
		return []string{"you refused this key; to take that back run `" + verify + "`"}
	}
	key := "its key"
	if t.Fingerprint != "" {
		key += " " + Grouped(t.Fingerprint)
	}
	return []string{
		"compare " + key + " with what the contact's device shows; if it is the same, run `" + verify + "`",
		"or have both ends prove it: `jetsend invite` here, and `jetsend contacts add` on that machine",
	}
}
