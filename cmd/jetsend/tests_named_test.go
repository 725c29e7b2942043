package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTestsAreThere: the tests that docs/ name for what they promise are there.
func TestTestsAreThere(t *testing.T) {
	defined := map[string]bool{}
	err := filepath.WalkDir("../..", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := os.ReadFile(name)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)`).FindAllSubmatch(source, -1) {
			defined[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatal(docs, err)
	}
	for _, doc := range docs {
		text := document(t, "docs", filepath.Base(doc))
		for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(text, -1) {
			if !defined[name] {
				t.Errorf("%s names %s, which is not there", filepath.Base(doc), name)
			}
		}
	}
}

// TestReplaysAreCited: docs/conformance.md has a row for every file that is replayed, and
// none for one that is not there.
func TestReplaysAreCited(t *testing.T) {
	files, err := filepath.Glob("../../internal/dialect/testdata/replay/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var cited []string // some by patterns
	for _, list := range regexp.MustCompile(`replay/[\w*-]+(?:\.\d)?(?:, [a-z]\w*-[\w*-]+(?:\.\d)?)*`).FindAllString(document(t, "docs", "conformance.md"), -1) {
		cited = append(cited, strings.Split(strings.TrimPrefix(list, "replay/"), ", ")...)
	}
	for _, pattern := range cited {
		found, _ := filepath.Glob("../../internal/dialect/testdata/replay/" + pattern + ".xml")
		if len(found) == 0 && pattern != "NAME" {
			t.Errorf("there is no replay/%s", pattern)
		}
	}
	for _, file := range files {
		name, found := strings.TrimSuffix(filepath.Base(file), ".xml"), false
		for _, pattern := range cited {
			match, _ := path.Match(pattern, name)
			found = found || match
		}
		if !found {
			t.Errorf("no row cites replay/%s", name)
		}
	}
}
