package main

import (
	"bytes"
	"context"
	_ "embed" // of the source of a library
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"jetsend/internal/xmpptest/enclosed"
)

// library is the source of the library that Wine lacks.
//
//go:embed processprng.c.txt
var library []byte

const compiler = "x86_64-w64-mingw32-gcc"

// have installs what is missing, or says so.
func have(ctx context.Context, install bool) error {
	var missing []string
	for program, pkg := range map[string]string{"wine": "wine", compiler: "gcc-mingw-w64-x86-64", "prosody": "prosody"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if !install || os.Geteuid() != 0 {
		return fmt.Errorf("missing: %s", strings.Join(missing, ", "))
	}
	var said bytes.Buffer
	if err := enclosed.Install(ctx, missing, &said); err != nil {
		return fmt.Errorf("%w\n%s", err, said.Bytes())
	}
	return nil
}

// quiet runs a command, and returns what it said with its error.
func quiet(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, said)
	}
	return nil
}

// wine is a Windows of its own, in a directory.
type wine struct {
	env     []string
	wrapper string // runs the jetsend of Windows
	probe   string // a program of Windows, see package probe
}

// wrapper runs the program of Windows with paths as that one writes them.
const wrapper = `#!/bin/sh
export WINEPREFIX='%[1]s/prefix' WINEDEBUG=-all LC_ALL=C.UTF-8
[ -z "$JETSEND_STATE_DIR" ] || export JETSEND_STATE_DIR="Z:$JETSEND_STATE_DIR"
export JETSEND_TLS_CA_FILE="Z:$JETSEND_TLS_CA_FILE"
exec wine '%[1]s/jetsend.exe' "$@"
`

func newWine(ctx context.Context, dir string) (*wine, error) {
	w := &wine{env: []string{"WINEPREFIX=" + filepath.Join(dir, "prefix"), "WINEDEBUG=-all"}, wrapper: filepath.Join(dir, "jetsend-windows"), probe: filepath.Join(dir, "probe.exe")}
	source := filepath.Join(dir, "processprng.c")
	dll := filepath.Join(dir, "prefix/drive_c/windows/system32/bcryptprimitives.dll")
	overlay, err := patched(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(source, library, 0o600), os.WriteFile(w.wrapper, fmt.Appendf(nil, wrapper, dir), 0o700)); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		env  []string
		args []string
	}{
		{w.env, []string{"wineboot", "-i"}},
		{nil, []string{compiler, "-shared", "-O2", "-o", dll, source, "-ladvapi32"}},
		{[]string{"GOOS=windows", "GOARCH=arm64", "CGO_ENABLED=0"}, []string{"go", "build", "-o", os.DevNull, "./cmd/jetsend"}},
		{[]string{"GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0"}, []string{"go", "build", "-overlay", overlay, "-o", filepath.Join(dir, "jetsend.exe"), "./cmd/jetsend"}},
		{[]string{"GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0"}, []string{"go", "build", "-o", w.probe, "./internal/winlab/probe"}},
		{[]string{"CGO_ENABLED=0"}, []string{"go", "build", "-o", filepath.Join(dir, "jetsend"), "./cmd/jetsend"}},
	} {
		if err := quiet(ctx, step.env, step.args[0], step.args[1:]...); err != nil {
			w.stop()
			return nil, err
		}
	}
	return w, nil
}

// stop ends what Wine has running in the prefix.
func (w *wine) stop() { _ = quiet(context.Background(), w.env, "wineserver", "-k") } // nothing runs, or it is gone

// patched makes one line of Go's own library know what Wine 8 answers to a deletion that it
// does not have, as Windows before 2018: STATUS_NOT_IMPLEMENTED, which no Windows says.
func patched(ctx context.Context, dir string) (overlay string, err error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	path := filepath.Join(strings.TrimSpace(string(root)), "src/internal/syscall/windows/at_windows.go")
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	const line = "case STATUS_INVALID_INFO_CLASS,"
	if bytes.Count(b, []byte(line)) != 1 {
		return "", errors.New("the deletion of Go's library is another one: see patched")
	}
	b = bytes.Replace(b, []byte(line), []byte("case NTStatus(0xC0000002), STATUS_INVALID_INFO_CLASS,"), 1)
	changed := filepath.Join(dir, "at_windows.go")
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, errors.Join(
		os.WriteFile(changed, b, 0o600),
		os.WriteFile(overlay, fmt.Appendf(nil, `{"Replace":{%q:%q}}`, path, changed), 0o600),
	)
}
