package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"jetsend/internal/jid"
)

// walker checks a parsed file against the Config struct, so that every error
// names the key and its line, and makes the paths in it absolute.
type walker struct {
	file string // for error texts
	dir  string // what relative paths in the file start from
	home string // what ~/ stands for
}

// field is what the tags of a struct field ask for.
type field struct {
	choice []string // the allowed words
	check  string   // path, jid, bare, hostport, address, count
}

func (w *walker) fail(n *yaml.Node, format string, args ...any) error {
	return &Error{File: w.file, Line: n.Line, Msg: fmt.Sprintf(format, args...)}
}

// check compares n with a value of type t. key is the dotted name so far.
func (w *walker) check(n *yaml.Node, t reflect.Type, key string, f field) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Tag == "!!null" { // `send:` with everything below it commented out
		return nil
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return w.check(n, t.Elem(), key, f)
	case t.Kind() == reflect.Struct:
		return w.checkStruct(n, t, key)
	case t.Kind() == reflect.Map:
		return w.checkMap(n, t, key, f)
	case t.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			return w.fail(n, "%s is a list: write it as [one, two]", key)
		}
		for _, item := range n.Content {
			if err := w.check(item, t.Elem(), key, f); err != nil {
				return err
			}
		}
		return nil
	}
	if n.Kind != yaml.ScalarNode {
		return w.fail(n, "%s has one value, not several", key)
	}
	return w.checkScalar(n, t, key, f)
}

func (w *walker) checkStruct(n *yaml.Node, t reflect.Type, key string) error {
	if n.Kind != yaml.MappingNode {
		return w.fail(n, "%s is a section: write `key: value` lines below it", key)
	}
	known := make(map[string]reflect.StructField)
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("mapstructure"); name != "-" {
			known[name] = t.Field(i)
		}
	}
	return w.eachKey(n, key, func(k, v *yaml.Node) error {
		full := join(key, k.Value)
		sf, ok := known[k.Value]
		if !ok {
			err := &Error{File: w.file, Line: k.Line, Msg: fmt.Sprintf("unknown key %q", full)}
			if near := strings.ToLower(strings.ReplaceAll(k.Value, "-", "_")); known[near].Name != "" {
				err.Hints = []string{fmt.Sprintf("did you mean %q?", join(key, near))}
			} else {
				err.Hints = []string{"run `jetsend help config` for the list of keys"}
			}
			return err
		}
		return w.check(v, sf.Type, full, field{choice: strings.Fields(sf.Tag.Get("choice")), check: sf.Tag.Get("check")})
	})
}

func (w *walker) checkMap(n *yaml.Node, t reflect.Type, key string, f field) error {
	if n.Kind != yaml.MappingNode {
		return w.fail(n, "%s is a section: write `name: value` lines below it", key)
	}
	return w.eachKey(n, key, func(k, v *yaml.Node) error {
		if v.Tag == "!!null" {
			return w.fail(k, "%s is empty", join(key, k.Value))
		}
		return w.check(v, t.Elem(), join(key, k.Value), f)
	})
}

// eachKey calls do for every pair of a mapping. Keys are compared without
// their case, because viper keeps them so.
func (w *walker) eachKey(n *yaml.Node, key string, do func(k, v *yaml.Node) error) error {
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			return w.fail(k, "%s: write plain `key: value` lines", join(key, k.Value))
		}
		if !ValidName(k.Value) {
			return w.fail(k, "%s: a name cannot hold %q, or end with a colon", join(key, k.Value), delimiter)
		}
		if lower := strings.ToLower(k.Value); seen[lower] {
			return w.fail(k, "%s is there twice", join(key, k.Value))
		} else {
			seen[lower] = true
		}
		if err := do(k, v); err != nil {
			return err
		}
	}
	return nil
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func (w *walker) checkScalar(n *yaml.Node, t reflect.Type, key string, f field) error {
	var err error
	switch {
	case t == reflect.TypeFor[Size]():
		_, err = ParseSize(n.Value)
	case t == reflect.TypeFor[Rate]():
		_, err = ParseRate(n.Value)
	case t == reflect.TypeFor[time.Duration]():
		_, err = ParseDuration(n.Value)
	case t.Kind() == reflect.Bool:
		if n.Tag != "!!bool" {
			err = fmt.Errorf("%q is neither true nor false", n.Value)
		}
	case t.Kind() == reflect.Int:
		var number int
		if number, err = strconv.Atoi(n.Value); err != nil {
			err = fmt.Errorf("%q is not a whole number", n.Value)
		} else if f.check == "count" && number < 0 {
			err = fmt.Errorf("%d is less than nothing", number)
		}
	case t.Kind() == reflect.String:
		err = w.checkString(n, f)
	}
	if err != nil {
		return w.fail(n, "%s: %v", key, err)
	}
	return nil
}

func (w *walker) checkString(n *yaml.Node, f field) error {
	n.Tag = "!!str" // a password of digits is text all the same
	if len(f.choice) > 0 && !slices.Contains(f.choice, n.Value) {
		return fmt.Errorf("%q is not one of %s", n.Value, strings.Join(f.choice, ", "))
	}
	switch f.check {
	case "input", "path":
		path := n.Value
		if f.check == "input" { // to read
			path = InputPath(path)
		}
		var err error
		n.Value, err = w.path(path)
		return err
	case "jid":
		_, err := jid.ParseTyped(n.Value)
		return err
	case "bare":
		_, err := parseBare(n.Value)
		return err
	case "hostport":
		return checkHostPort(n.Value)
	case "address":
		_, err1 := netip.ParseAddr(n.Value)
		_, err2 := netip.ParseAddrPort(n.Value)
		if err1 != nil && err2 != nil {
			return fmt.Errorf("%q is not an IP address, with or without a port", n.Value)
		}
	}
	return nil
}

// path makes a path of the file absolute: ~/ is the home directory, and a
// relative path starts at the file's own directory, wherever jetsend runs.
func (w *walker) path(p string) (string, error) {
	if w.home != "" { // without one the path may not even be needed
		var err error
		if p, err = ExpandHome(p, w.home); err != nil {
			return "", err
		}
	}
	if p == "" || filepath.IsAbs(p) {
		return p, nil
	}
	return filepath.Join(w.dir, p), nil
}

// ExpandHome is what a shell makes of a path that begins with ~ or ~/, which it does
// not everywhere: not behind --dir=, not between quotes. The homes of others are
// for shells to know.
func ExpandHome(path, home string) (string, error) {
	first, rest, _ := strings.Cut(filepath.ToSlash(path), "/")
	switch {
	case first == "~" && home == "":
		return "", fmt.Errorf("%s: HOME is not set", path)
	case first == "~":
		return filepath.Join(home, rest), nil
	case strings.HasPrefix(first, "~"):
		return "", fmt.Errorf("%s: only ~ and ~/ are known as a home here: write the whole path, or ./%s for a file of that name", path, path)
	}
	return path, nil
}

func checkHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return fmt.Errorf("%q is not host:port", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q: %q is not a port", s, port)
	}
	return nil
}
