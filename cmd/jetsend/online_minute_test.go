//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// minutes is how often TestMinutes has two people meet.
const minutes = 100

// TestMinutes has two people without accounts register, meet by an invitation and send a file,
// again and again, while all that passes is looked at: the secret of no link is in it.
func TestMinutes(t *testing.T) {
	if os.Getenv(longVariable) == "" {
		t.Skip("takes minutes")
	}
	var b strings.Builder
	b.WriteString("prosody open\ntapped\nmkdir in\nmakefile f 1000\n")
	for i := range minutes {
		text := fmt.Sprintf(`
run juliet%[1]d 0 register juliet%[1]d@jet.test
run romeo%[1]d 0 register romeo%[1]d@jet.test
start daemon%[1]d juliet%[1]d receive --json --dir in --accept contacts --on-conflict overwrite
await daemon%[1]d '"event":"online"'
run juliet%[1]d 0 invite
cp stdout link
stdin link
run romeo%[1]d 0 --json contacts add -
stdout '"event":"acquainted","peer":"juliet%[1]d@jet.test".*"verified":true'
await daemon%[1]d '"event":"acquainted","peer":"romeo%[1]d@jet.test".*"verified":true'
run romeo%[1]d 0 send f juliet%[1]d@jet.test
cmp f in/f
run romeo%[1]d 0 trust list --json juliet%[1]d@jet.test
stdout '"trust":"verified"'
run juliet%[1]d 0 trust list --json romeo%[1]d@jet.test
stdout '"trust":"verified"'
signal daemon%[1]d TERM
ends daemon%[1]d 0
exec sh -c 'sed s/.*[.]// link | tr -d "\n" > secret'
envfile SECRET secret
unsaid $SECRET
`, i)
		b.WriteString(text)
	}
	file := filepath.Join(t.TempDir(), "minutes.txtar")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, onlineParams(testscript.Params{Files: []string{file}}))
}
