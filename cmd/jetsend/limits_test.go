package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestLimitsDocument: docs/limits.md names constants and tests that there are.
func TestLimitsDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(\\w+)` (internal/[\\w/]+\\.go)").FindAllStringSubmatch(string(text), -1)
	if len(named) < 60 {
		t.Errorf("only %d constants and tests are named", len(named))
	}
	for _, n := range named {
		source, err := os.ReadFile(filepath.Join("../..", n[2]))
		if err != nil {
			t.Error(err)
			continue
		}
		if !regexp.MustCompile(`(?m)^(func |const |\t)` + n[1] + `\b`).Match(source) {
			t.Errorf("%s does not define %s", n[2], n[1])
		}
	}
}
