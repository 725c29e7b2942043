package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// imports are the packages of the program, by their short names, each with those of ours that
// it imports.
type imports map[string][]string

// notRooms are the packages that stand beside the program, and use it or imitate others.
var notRooms = []string{"xmpptest", "interop", "natlab", "winlab", "simulate", "desktop/desktoptest"}

// readImports asks go, in the directory of a module, for the imports on Linux: a picture is
// the same wherever it is made.
func readImports(ctx context.Context, dir string) (imports, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Imports", "./cmd/...", "./internal/...")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, &said)
	}
	g := imports{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if name, ok := room(p.ImportPath); ok {
			g[name] = nil
			for _, i := range p.Imports {
				if of, ok := room(i); ok {
					g[name] = append(g[name], of)
				}
			}
		}
	}
}

// room is the short name of a package of the program.
func room(path string) (name string, ok bool) {
	const module, internal = "jetsend/", "internal/"
	name, ok = strings.CutPrefix(path, module)
	name = strings.TrimPrefix(name, internal)
	for _, n := range notRooms {
		ok = ok && name != n && !strings.HasPrefix(name, n+"/")
	}
	return name, ok
}

// leaves import nothing of ours.
func (g imports) leaves() (names []string) {
	for name, of := range g {
		if len(of) == 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// reduced is what is left without leaves, and without the arrows that go where others lead
// already.
func (g imports) reduced() imports {
	reach := map[string]map[string]bool{}
	var from func(string) map[string]bool
	from = func(name string) map[string]bool {
		if reach[name] == nil {
			reach[name] = map[string]bool{}
			for _, i := range g[name] {
				reach[name][i] = true
				maps.Copy(reach[name], from(i))
			}
		}
		return reach[name]
	}
	left := imports{}
	for name, of := range g {
		if len(of) == 0 {
			continue
		}
		left[name] = nil
		for _, i := range of {
			led := slices.ContainsFunc(of, func(other string) bool { return from(other)[i] })
			if !led && len(g[i]) > 0 {
				left[name] = append(left[name], i)
			}
		}
	}
	return left
}
