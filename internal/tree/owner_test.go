package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/inbox"
)

// modeOf is the permissions of something in the download directory.
func (k *kit) modeOf(path string) os.FileMode {
	k.Helper()
	is, err := os.Lstat(filepath.Join(k.dir, path))
	if err != nil {
		k.Fatal(err)
	}
	return is.Mode().Perm()
}

// TestOwnDirectory: a directory that no set has made, in a folder that is updated, keeps its
// mode and time however often the sender says another one: what is in it would be
// everybody's.
func TestOwnDirectory(t *testing.T) {
	k := sentOnce(t)
	for _, path := range []string{"f/private", "f/e"} { // one of its own, one in the place of another
		full := filepath.Join(k.dir, path)
		// The directory that made room for it is kept, so that its inode does not come again.
		_ = os.Rename(full, filepath.Join(k.dir, "away"))
		if err := os.Mkdir(full, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(full, "secret"), []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range []os.FileMode{0o755, 0o750, 0o777} {
		s := k.open(inbox.Update)
		s.folder("f", with(base(), thing{path: "private", dir: true, mode: mode}, thing{path: "private/x", data: "x"}, thing{path: "e", dir: true, mode: mode}, thing{path: "mine", dir: true, mode: mode})...)
		s.done()
		k.again()
		if p, e, mine := k.modeOf("f/private"), k.modeOf("f/e"), k.modeOf("f/mine"); p != 0o700 || e != 0o700 || mine != mode&0o755 {
			t.Errorf("%o: %o, %o, %o", mode, p, e, mine)
		}
	}
	k.shows("f/private", "f/private/", "f/private/secret secret", "f/private/x x")
}

// TestInodeAgain: a directory that somebody made where a folder was is not that folder,
// though it has got its inode.
func TestInodeAgain(t *testing.T) {
	k := sentOnce(t)
	f := filepath.Join(k.dir, "f")
	if err := os.RemoveAll(f); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(f, 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := openPath(f)
	if err != nil {
		t.Fatal(err)
	}
	is, err := factsOf(d.f)
	if err != nil {
		t.Fatal(err)
	}
	if bornAt(d.f).IsZero() {
		t.Skip("this file system does not say when a file was made")
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	p := k.book.folders[string(folderID)]
	p.Inode = is.inode
	k.book.folders[string(folderID)] = p
	s := k.open(inbox.Update)
	s.folder("f", thing{path: "a", data: "A"})
	s.done().want("new  renamed f (1)", "new a")
	k.shows("f", "f/")
}

// TestAdoptsItsOwn: a set that goes on does not take for its folder what is there by now.
func TestAdoptsItsOwn(t *testing.T) {
	k := newKit(t)
	s := k.open(inbox.Rename)
	s.folder("f", base()...)
	if err := s.Indexed(); err != nil {
		t.Fatal(err)
	}
	s.cut()
	delete(k.book.folders, string(folderID))
	if err := os.Rename(filepath.Join(k.dir, "f"), filepath.Join(k.dir, "away")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(k.dir, "f"), 0o700); err != nil {
		t.Fatal(err)
	}
	s = k.open(inbox.Rename)
	s.folder("f", base()...)
	s.done()
	if p, ok := k.book.folders[string(folderID)]; ok {
		t.Errorf("remembered: %+v", p)
	}
}

// TestTwiceInOne: two folders of one name, and one folder that a set says twice, are two
// folders; each is updated for itself, and of one that is said twice the first is.
func TestTwiceInOne(t *testing.T) {
	k := newKit(t)
	other := append([]byte{9}, folderID[1:]...)
	send := func(first, second []byte, data string) *session {
		s := k.open(inbox.Update)
		for i, id := range [][]byte{first, second} {
			things := ordered([]thing{{path: "x", data: fmt.Sprint(data, i), mtime: epoch.Add(time.Duration(len(data)) * time.Hour)}})
			s.begin("f", id, len(things))
			for _, th := range things {
				n, w := s.tell(th)
				s.give(n, th, w)
			}
		}
		if err := errors.Join(s.Indexed(), s.Close(nil)); err != nil {
			t.Fatal(err)
		}
		k.again()
		return s
	}
	send(folderID, other, "first").want("new ", "new x", "new  renamed f (1)", "new x")
	send(folderID, other, "then").want("changed ", "changed x", "changed ", "changed x")
	k.shows("f", "f/", "f/x then0")
	k.shows("f (1)", "f (1)/", "f (1)/x then1")
	send(folderID, folderID, "twice the same").want("changed ", "changed x", "new  renamed f (2)", "new x")
	k.shows("f (1)", "f (1)/", "f (1)/x then1")
	fresh := append([]byte{8}, folderID[1:]...)
	send(fresh, fresh, "new").want("new  renamed f (3)", "new x", "new  renamed f (4)", "new x")
	if p := k.book.folders[string(fresh)]; filepath.Base(p.Path) != "f (3)" {
		t.Errorf("%+v", p)
	}
}
