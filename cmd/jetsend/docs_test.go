package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"jetsend/internal/config"
)

// These tests hold together what is told in several places: by the program, its
// man pages and the files in docs/.

func document(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// manuals makes the man pages and returns them by file name, without the
// backslashes of roff.
func manuals(t *testing.T) map[string]string {
	t.Helper()
	f := newFixture(t)
	dir := t.TempDir()
	f.wants(0, nil, "gen-docs", dir)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	pages := make(map[string]string)
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		pages[file.Name()] = strings.ReplaceAll(string(text), `\`, "")
	}
	return pages
}

// kinds are the events of the schema, each once.
func kinds(t *testing.T) []string {
	t.Helper()
	var names []string
	root := loadSchema(t)
	for _, alternative := range root.OneOf {
		event := root.Defs[strings.TrimPrefix(alternative.Ref, "#/$defs/")].Properties["event"]
		names = append(names, event.Const.(string))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestKindsAreAll: the schema has every event and row that the source can write.
// A warning, and what is waited for, is for people only.
func TestKindsAreAll(t *testing.T) {
	var written []string
	for _, pattern := range []string{"*.go", "../../internal/event/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func \([^)]*\) Kind\(\) string +\{\s*return "([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
				written = append(written, m[1])
			}
		}
	}
	written = slices.DeleteFunc(written, func(k string) bool { return k == "warning" || k == "waiting" })
	slices.Sort(written)
	if got, want := slices.Compact(written), kinds(t); !slices.Equal(got, want) {
		t.Errorf("the source writes %v, the schema has %v", got, want)
	}
}

// TestKindsAreTold: docs/events.md has every event of the schema, with every
// member, and no other.
func TestKindsAreTold(t *testing.T) {
	text := document(t, "docs", "events.md")
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|.*$").FindAllStringSubmatch(text, -1) {
		told = append(told, row[1])
	}
	told = slices.DeleteFunc(told, func(k string) bool { return slices.Contains([]string{"v", "time", "event"}, k) })
	slices.Sort(told)
	if want := kinds(t); !slices.Equal(told, want) {
		t.Errorf("docs/events.md has %v, the schema %v", told, want)
	}
	root := loadSchema(t)
	for _, alternative := range root.OneOf {
		name := strings.TrimPrefix(alternative.Ref, "#/$defs/")
		for member := range root.Defs[name].Properties {
			if !strings.Contains(text, "`"+member+"`") {
				t.Errorf("docs/events.md does not tell the member %s of %s", member, name)
			}
		}
	}
}

// TestCodesAreTold: every exit code is in the table of docs/events.md, in
// `help exit-codes`, in jetsend(1), and in the EXIT STATUS of a command exactly when the
// command's help names it.
func TestCodesAreTold(t *testing.T) {
	f := newFixture(t)
	f.wants(0, nil, "help", "exit-codes")
	pages := manuals(t)
	row, line := `(?m)^\|[^|]*\b%d\b[^|]*\|`, `(?m)^ *%d  \S`
	for _, m := range meanings() {
		for _, place := range []struct{ name, text, pattern string }{
			{"docs/events.md", document(t, "docs", "events.md"), row},
			{"help exit-codes", f.out.String(), line},
			{"jetsend(1)", pages["jetsend.1"], line},
		} {
			if !regexp.MustCompile(fmt.Sprintf(place.pattern, m.code)).MatchString(place.text) {
				t.Errorf("%s does not tell exit code %d", place.name, m.code)
			}
		}
		everyCommand(t, func(cmd *cobra.Command) {
			here := regexp.MustCompile(fmt.Sprintf(line, m.code))
			page := pages[strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"]
			if cmd.HasParent() && here.MatchString(cmd.Long) != here.MatchString(page) {
				t.Errorf("help and man page of %s differ about exit code %d", cmd.CommandPath(), m.code)
			}
		})
	}
}

// everyCommand calls do for each command that has a man page.
func everyCommand(t *testing.T, do func(*cobra.Command)) {
	t.Helper()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		do(cmd)
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
				walk(sub)
			}
		}
	}
	a := newApp(system{Env: func(string) string { return "" }})
	walk(newRootCommand(a))
}

// TestManuals: every command has a page with all of its sections and flags, and
// every variable of the environment is told.
func TestManuals(t *testing.T) {
	pages := manuals(t)
	everyCommand(t, func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		page := pages[name]
		delete(pages, name)
		sections := []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"}
		if cmd.HasAvailableSubCommands() {
			sections = append(sections, "COMMANDS")
		}
		title := `\.TH "` + strings.ToUpper(strings.TrimSuffix(name, ".1")) + `" "1" "\d{4}-\d\d-\d\d" `
		if !regexp.MustCompile(title).MatchString(page) {
			t.Errorf("%s has not the title %s", name, title)
		}
		for _, section := range sections {
			if !strings.Contains(page, ".SH "+section+"\n") {
				t.Errorf("%s has no %s", name, section)
			}
		}
		for _, flag := range append(regexp.MustCompile(`--[a-z-]+`).FindAllString(cmd.Flags().FlagUsages(), -1), "--json", "--state-dir") {
			if !strings.Contains(page, "fB"+flag+"fP") {
				t.Errorf("%s does not tell %s", name, flag)
			}
		}
		if strings.Contains(page, "=false]") || strings.Contains(page, "```") {
			t.Errorf("%s has marks of how it was made", name)
		}
	})
	if len(pages) > 0 {
		t.Errorf("pages of no command: %v", slices.Sorted(maps.Keys(pages)))
	}
	page := manuals(t)["jetsend.1"]
	for _, variable := range regexp.MustCompile(`(?m)^  [A-Z_]+`).FindAllString(environmentHelp, -1) {
		if !strings.Contains(page, strings.TrimSpace(variable)) {
			t.Errorf("jetsend(1) does not tell %s", variable)
		}
	}
	if !strings.Contains(page, "jetsend-config(5)") {
		t.Error("jetsend(1) does not lead to jetsend-config(5)")
	}
}

// TestConfigKeysAreTold: the configuration, config.example.yaml and
// jetsend-config(5) have the same keys.
func TestConfigKeysAreTold(t *testing.T) {
	known := keysOf(reflect.TypeFor[config.Config](), "")
	page := strings.ReplaceAll(document(t, "docs", "man", "jetsend-config.5"), `\-`, "-")
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^\.TP\n\.B (\S+)$`).FindAllStringSubmatch(page, -1) {
		told = append(told, m[1])
	}
	same(t, "jetsend-config(5)", told, known)

	// Every key of the example, also those that are commented out: a comment of
	// prose has a space behind the #.
	live := regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAllString(document(t, "config.example.yaml"), "$1$2")
	var example yaml.Node
	if err := yaml.Unmarshal([]byte(live), &example); err != nil {
		t.Fatal(err)
	}
	shown := exampleKeys(example.Content[0], "")
	for i, key := range shown {
		key = regexp.MustCompile(`^accounts\.[a-z]+`).ReplaceAllString(key, "accounts.NAME")
		shown[i] = regexp.MustCompile(`^contacts\.[a-z]+`).ReplaceAllString(key, "contacts.NAME")
	}
	same(t, "config.example.yaml", shown, known)
}

// same compares the keys that a place has with those that the program knows.
func same(t *testing.T, place string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	for _, key := range slices.Compact(got) {
		if !slices.Contains(want, key) {
			t.Errorf("%s has %s, which the program does not know", place, key)
		}
	}
	for _, key := range want {
		if !slices.Contains(got, key) {
			t.Errorf("%s does not tell %s", place, key)
		}
	}
}

// keysOf are the dotted keys of a part of the configuration.
func keysOf(part reflect.Type, at string) (keys []string) {
	switch part.Kind() {
	case reflect.Map:
		return keysOf(part.Elem(), at+".NAME")
	case reflect.Struct:
		for i := range part.NumField() {
			if name := part.Field(i).Tag.Get("mapstructure"); name != "-" {
				keys = append(keys, keysOf(part.Field(i).Type, strings.TrimPrefix(at+"."+name, "."))...)
			}
		}
		return keys
	}
	return []string{at}
}

// exampleKeys are the dotted keys of a YAML mapping.
func exampleKeys(n *yaml.Node, at string) (keys []string) {
	if n.Kind != yaml.MappingNode {
		return []string{at}
	}
	for i := 0; i < len(n.Content); i += 2 {
		keys = append(keys, exampleKeys(n.Content[i+1], strings.TrimPrefix(at+"."+n.Content[i].Value, "."))...)
	}
	return keys
}
