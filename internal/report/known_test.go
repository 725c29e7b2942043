package report

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write known.txt anew")

// TestKnown: known.txt has what this program says. A new sentence makes reports worse, not
// less private, so that only a tenth of all must not be missing.
func TestKnown(t *testing.T) {
	found := map[string]bool{}
	for _, dir := range []string{"../../internal", "../../cmd"} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			skip := regexp.MustCompile(`xmpptest|simulate|interop|natlab|winlab|internal/report|_test\.go$`)
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || skip.MatchString(filepath.ToSlash(path)) {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err == nil {
				gather(file, filepath.ToSlash(filepath.Dir(path))[len("../../"):], found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		text := strings.Join(slices.Sorted(maps.Keys(found)), "\n") + "\n"
		if err := os.WriteFile("known.txt", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	var missing []string
	for phrase := range found {
		if !isMessage(phrase) {
			missing = append(missing, phrase)
		}
	}
	if len(found) < 300 || len(missing)*10 > len(found) {
		t.Errorf("%d of %d phrases are not in known.txt, such as %q: run `go test ./internal/report -run TestKnown -update`",
			len(missing), len(found), missing[:min(5, len(missing))])
	}
}

// gather finds the messages of the log, and the fixed parts of errors and of findings.
func gather(file *ast.File, dir string, into map[string]bool) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch lit, ok := node.(*ast.BasicLit); {
		case ok && dir == "internal/doctor":
			fragments(lit, into)
		case ok && dir == "internal/event": // the names of events are messages of the log
			if text, _ := strconv.Unquote(lit.Value); regexp.MustCompile(`^[a-z]+( [a-z]+)*$`).MatchString(text) {
				into[text] = true
			}
		}
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := ""
		switch f := call.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		for _, arg := range call.Args {
			lit, ok := arg.(*ast.BasicLit)
			switch {
			case !ok || lit.Kind != token.STRING:
			case slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, name) && arg == call.Args[0]:
				if text, err := strconv.Unquote(lit.Value); err == nil && !strings.ContainsAny(text, "%@\n") {
					into[text] = true
				}
			case slices.Contains([]string{"New", "Errorf", "usagef"}, name):
				fragments(lit, into)
			}
		}
		return true
	})
}

// fragments adds what of a format stands between its verbs, of two words and more.
func fragments(lit *ast.BasicLit, into map[string]bool) {
	text, err := strconv.Unquote(lit.Value)
	if err != nil || lit.Kind != token.STRING {
		return
	}
	for _, part := range regexp.MustCompile("%[-+# 0-9.*]*[a-zA-Z]|[`\"():,;\n]").Split(text, -1) {
		part = strings.Trim(part, " .")
		if regexp.MustCompile(`^[A-Za-z][A-Za-z'-]*( [A-Za-z][A-Za-z'-]*)+$`).MatchString(part) {
			into[part] = true
		}
	}
}
