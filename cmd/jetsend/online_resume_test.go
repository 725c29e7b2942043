//go:build linux

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// resumeCommands are the script commands about transfers that were cut:
//
//	carried MIN MAX              fail unless the present relay has carried that many bytes, all connections together
//	cutall                       break the connections through the relay
//	transferid VAR               set VAR to the id in the first event of the last output that has one
//	age FILE LIKE                give FILE the modification time of LIKE
//	smalldisk DIR SIZE           make DIR a file system of its own of SIZE bytes; see the condition [mount]
//	largerdisk DIR SIZE          make that file system larger
func resumeCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"carried": cmdCarried, "cutall": cmdCutAll, "transferid": cmdTransferID, "age": cmdAge,
		"smalldisk": cmdSmallDisk, "largerdisk": cmdLargerDisk,
	}
}

func cmdCarried(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "carried MIN MAX")
	low, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	high, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	c := worldOf(ts).relay.Carried()
	if n := c.UpCount + c.DownCount; n < low || n > high {
		ts.Fatalf("%d bytes on the wire, want %d to %d", n, low, high)
	}
}

func cmdCutAll(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "cutall")
	worldOf(ts).relay.Cut()
}

var transferIn = regexp.MustCompile(`"transfer":"([0-9a-f-]{36})"`)

func cmdTransferID(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "transferid VAR")
	m := transferIn.FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no transfer in the output")
	}
	ts.Setenv(args[0], m[1])
}

func cmdAge(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "age FILE LIKE")
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(os.Chtimes(ts.MkAbs(args[0]), info.ModTime(), info.ModTime()))
}

func cmdSmallDisk(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "smalldisk DIR SIZE")
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1])
	ts.Check(err)
	ts.Defer(func() {
		if err := syscall.Unmount(filepath.Clean(dir), syscall.MNT_DETACH); err != nil {
			ts.Logf("unmount %s: %v", dir, err)
		}
	})
}

func cmdLargerDisk(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "largerdisk DIR SIZE")
	ts.Check(syscall.Mount("tmpfs", ts.MkAbs(args[0]), "tmpfs", syscall.MS_REMOUNT, "size="+args[1]))
}

// mayMount reports whether a script may use smalldisk: the condition [mount].
func mayMount() (bool, error) {
	dir, err := os.MkdirTemp("", "mount")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // of the system's temporary directory
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4096"); err != nil {
		return false, nil //nolint:nilerr // the answer is no
	}
	return true, syscall.Unmount(dir, syscall.MNT_DETACH)
}
