//go:build linux

package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdStartIn is cmdStart with a file as standard input.
func cmdStartIn(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 4, "startin NAME USER FILE ARGS...")
	p := command(ts, args[1], args[3:])
	f, err := os.Open(ts.MkAbs(args[2]))
	ts.Check(err)
	defer func() { _ = f.Close() }() // the process has its own
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = f, p.out, p.err
	ts.Check(p.cmd.Start())
	follow(ts, args[0], p)
}

// cmdSameTree compares two directories by all that a transfer keeps.
func cmdSameTree(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "sametree DIR DIR")
	if d := cmp.Diff(listing(ts, args[0]), listing(ts, args[1])); d != "" {
		ts.Fatalf("%s and %s differ:\n%s", args[0], args[1], d)
	}
}

// listing is a directory as text, one line an entry.
func listing(ts *testscript.TestScript, dir string) string {
	var b strings.Builder
	root := ts.MkAbs(dir)
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		what := ""
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what = fmt.Sprintf("%v %d %x", info.ModTime().UnixNano(), len(data), sha256.Sum256(data))
		case info.Mode()&fs.ModeSymlink != 0:
			if what, err = os.Readlink(path); err != nil {
				return err
			}
		default:
			what = fmt.Sprint(info.ModTime().UnixNano())
		}
		_, err = fmt.Fprintf(&b, "%q %v %s\n", name, info.Mode(), what)
		return err
	}))
	return b.String()
}
