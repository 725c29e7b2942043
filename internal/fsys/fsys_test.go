package fsys

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// TestMeaning: what each error says, however it is wrapped, and what it does not.
func TestMeaning(t *testing.T) {
	for err, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "full", syscall.EDQUOT: "full", syscall.EILSEQ: "name", syscall.ENAMETOOLONG: "name", syscall.EINVAL: "name way",
		syscall.EPERM: "lacks way", syscall.ENOSYS: "lacks way", syscall.EMLINK: "way", syscall.EIO: "", syscall.EEXIST: "", syscall.EACCES: "",
	} {
		wrapped := fmt.Errorf("make it: %w", &fs.PathError{Op: "open", Path: "x", Err: err})
		got := ""
		for _, is := range []struct {
			word string
			f    func(error) bool
		}{{"full", Full}, {"name", Unnameable}, {"lacks", Lacking}, {"way", CannotName}} {
			if !is.f(wrapped) {
				continue
			}
			if got != "" {
				got += " "
			}
			got += is.word
		}
		if got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	for _, f := range []func(error) bool{Full, Unnameable, Lacking, CannotName} {
		if f(nil) {
			t.Error("nil says something")
		}
	}
}

func TestSyncNames(t *testing.T) {
	d, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := SyncNames(d); err != nil {
		t.Error(err)
	}
	_ = d.Close()
	if SyncNames(d) == nil {
		t.Error("a directory that is closed")
	}
}
