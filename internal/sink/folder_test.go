package sink

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetsend/internal/filename"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

func TestFolderName(t *testing.T) {
	seen := map[string]string{}
	for _, j := range []string{
		"romeo@jet.test", "romeo@jet.test.example", `d\27artagnan@jet.test`, `\27artagnan@jet.test`, ".hidden@jet.test", "hidden@jet.test",
		"a|b@jet.test", "a?b@jet.test", "a_b@jet.test", "con@jet.test", strings.Repeat("a", 400) + "@jet.test", strings.Repeat("a", 401) + "@jet.test",
		strings.Repeat("é", 300) + "@jet.test", "jet.test",
	} {
		name := folderName(jid.MustParse(j))
		if seen[name] != "" {
			t.Errorf("%s and %s share %q", j, seen[name], name)
		}
		seen[name] = j
		if filename.Component(name) != name || strings.ContainsAny(name, `/\`) || name[0] == '.' || len(name) > filename.MaxBytes {
			t.Errorf("%s: %q", j, name)
		}
	}
	if folderName(jid.MustParse("romeo@jet.test/orchard")) != "romeo@jet.test" {
		t.Error("an ordinary address is its own folder")
	}
}

// TestFolderOfTheRow: a transfer that is resumed finds the folder of its contact by
// the same rules.
func TestFolderOfTheRow(t *testing.T) {
	row := journal.Row{Peer: jid.MustParse("romeo@jet.test"), Dir: filepath.Join(t.TempDir(), "romeo@jet.test")}
	if err := errors.Join(os.Mkdir(row.Dir, 0o700), os.Chmod(row.Dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	var folder *inbox.FolderError
	if _, err := openDir(&row); !errors.As(err, &folder) {
		t.Errorf("%v", err)
	}
	row.Peer = jid.MustParse("juliet@jet.test") // so that it is the user's own directory
	dir, err := openDir(&row)
	if err != nil {
		t.Fatal(err)
	}
	if why := dir.Exposed(); why == "" {
		t.Error("not known for exposed")
	}
	_ = dir.Close()
}
