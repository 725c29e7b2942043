package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// TestLinks: what the documents lead to in this tree is there, with the heading that a link
// names.
func TestLinks(t *testing.T) {
	root := filepath.Join("..", "..")
	link := regexp.MustCompile(`\]\(([^()\s]+)\)`)
	for _, name := range documents(t) {
		text := withoutCode(document(t, name))
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s leads to %s, which is not there", name, m[1])
				continue
			}
			if anchor != "" && !anchors(document(t, target))[anchor] {
				t.Errorf("%s leads to %s, where no heading is called so", name, m[1])
			}
		}
	}
}

// TestDocumentsAreListed: the README leads to every document of docs/.
func TestDocumentsAreListed(t *testing.T) {
	readme := document(t, "README.md")
	for _, name := range documents(t) {
		if filepath.Dir(name) == "docs" && !strings.Contains(readme, "]("+name) {
			t.Errorf("the README does not lead to %s", name)
		}
	}
}

// documents are the texts of the tree for people, by their paths below its root.
func documents(t *testing.T) (names []string) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (strings.HasPrefix(e.Name(), ".git") || e.Name() == "bin") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			name, err := filepath.Rel(root, path)
			names = append(names, name)
			return err
		}
		return nil
	})
	if err != nil || len(names) < 10 {
		t.Fatal(names, err)
	}
	return names
}

// withoutCode leaves out blocks of code and what stands between backticks.
func withoutCode(text string) string {
	text = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "")
}

// anchors are the names by which the headings of a document are led to: small letters,
// digits, hyphens for spaces, and nothing else.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	blocks := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")
	for _, m := range regexp.MustCompile(`(?m)^#+ +(.*)$`).FindAllStringSubmatch(blocks, -1) {
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])] = true
	}
	return found
}
