package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"jetsend/internal/jid"
)

func TestFolders(t *testing.T) {
	ctx := t.Context()
	k := newKit(t)
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b\xff")
	for _, path := range []string{a, b} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	id := bytes.Repeat([]byte{1}, FolderIDSize)
	f := Folder{Peer: romeo.Bare(), Direction: Receive, ID: id, Path: a, Device: 1 << 63, Inode: 7}
	if err := k.RememberFolder(ctx, f); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Folder(ctx, romeo, Receive, id); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("got %+v, %v", got, err)
	}
	wantErr(t, "of another contact", errOf(k.Folder(ctx, juliet, Receive, id)), ErrUnknown)
	wantErr(t, "in the other direction", errOf(k.Folder(ctx, romeo, Send, id)), ErrUnknown)
	f.Path, f.Inode = b, 8
	if err := k.RememberFolder(ctx, f); err != nil {
		t.Fatal(err)
	}
	if got, err := k.Folder(ctx, romeo, Receive, id); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("it has moved: %+v, %v", got, err)
	}
	other := f
	other.ID = bytes.Repeat([]byte{2}, FolderIDSize)
	if err := k.RememberFolder(ctx, other); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "another has taken its path", errOf(k.Folder(ctx, romeo, Receive, id)), ErrUnknown)
	theirs := other
	theirs.Peer = juliet.Bare()
	if err := k.RememberFolder(ctx, theirs); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "another contact's has taken its path", errOf(k.Folder(ctx, romeo, Receive, other.ID)), ErrUnknown)
	if err := k.RememberFolder(ctx, other); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Folder){
		"peer": func(f *Folder) { f.Peer = jid.JID{} }, "direction": func(f *Folder) { f.Direction = "" },
		"id": func(f *Folder) { f.ID = id[:15] }, "path": func(f *Folder) { f.Path = "a" },
	} {
		bad := f
		spoil(&bad)
		if err := k.RememberFolder(ctx, bad); err == nil {
			t.Errorf("%s: remembered %+v", name, bad)
		}
	}
	// Transfers come and go; what is at the path decides.
	k.clock.add(1000 * day)
	k.expire(time.Hour, keep)
	if _, err := k.Folder(ctx, romeo, Receive, other.ID); err != nil {
		t.Error(err)
	}
	if err := os.Remove(b); err != nil {
		t.Fatal(err)
	}
	k.expire(0, keep)
	wantErr(t, "nothing is at its path", errOf(k.Folder(ctx, romeo, Receive, other.ID)), ErrUnknown)
}

// TestFolderID: each folder has an id of its own for each contact, which stays.
func TestFolderID(t *testing.T) {
	ctx := t.Context()
	k := newKit(t)
	dir := t.TempDir()
	first, err := k.FolderID(ctx, romeo, dir)
	again, err2 := k.FolderID(ctx, romeo.Bare(), dir)
	if err := errors.Join(err, err2); err != nil || len(first) != FolderIDSize || !bytes.Equal(first, again) {
		t.Fatalf("%x, then %x: %v", first, again, err)
	}
	theirs, err := k.FolderID(ctx, juliet, dir)
	under, err2 := k.FolderID(ctx, romeo, filepath.Join(dir, "a"))
	if err := errors.Join(err, err2); err != nil || bytes.Equal(first, theirs) || bytes.Equal(first, under) {
		t.Errorf("%x, %x, %x: %v", first, theirs, under, err)
	}
	if known, err := k.KnownFolderID(ctx, romeo, dir); err != nil || !bytes.Equal(first, known) {
		t.Errorf("looked at: %x, %v", known, err)
	}
	if none, err := k.KnownFolderID(ctx, romeo, filepath.Join(dir, "b")); err != nil || none != nil {
		t.Errorf("looked at, of none: %x, %v", none, err)
	}
	if sends, err := k.SendsFolder(ctx, first); err != nil || !sends {
		t.Errorf("it is not sent: %v", err)
	}
	if err := errors.Join(os.Remove(dir), k.ForgetFolders(ctx)); err != nil {
		t.Fatal(err)
	}
	if sends, err := k.SendsFolder(ctx, first); err != nil || sends {
		t.Errorf("it is sent when it is gone: %v", err)
	}
	if later, err := k.FolderID(ctx, romeo, dir); err != nil || bytes.Equal(first, later) {
		t.Errorf("when it is gone: %x, %v", later, err)
	}
	if _, err := k.FolderID(ctx, romeo, "a"); err == nil {
		t.Error("a relative path has an id")
	}
}
