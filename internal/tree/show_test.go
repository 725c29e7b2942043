package tree

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// show is what is in a directory, as "path mode time content".
func (k *kit) show(path string) (all []string) {
	k.Helper()
	root := filepath.Join(k.dir, path)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(k.dir, p)
		switch {
		case d.IsDir():
			all = append(all, rel+"/")
		case d.Type() == fs.ModeSymlink:
			to, _ := os.Readlink(p)
			all = append(all, rel+" -> "+to)
		default:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			all = append(all, rel+" "+string(b[:min(len(b), 40)]))
		}
		return nil
	})
	if err != nil {
		k.Fatal(err)
	}
	return all
}

func (k *kit) shows(path string, want ...string) {
	k.Helper()
	if got := k.show(path); !slices.Equal(got, want) {
		k.Errorf("got  %q\nwant %q", got, want)
	}
}

func (k *kit) write(path, data string) {
	k.Helper()
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		k.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.dir, path), []byte(data), 0o644); err != nil {
		k.Fatal(err)
	}
}
