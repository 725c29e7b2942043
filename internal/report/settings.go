package report

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Settings shows a configuration by the tags of its fields: numbers, switches and words that are
// chosen from a few as they are, everything else as a placeholder, or only that it is set.
// What is empty is left out. All texts that are not shown are hidden in the whole report.
func (n *Names) Settings(c any) []string {
	var lines []string
	n.section("", reflect.ValueOf(c), &lines)
	return lines
}

func (n *Names) section(prefix string, v reflect.Value, lines *[]string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("mapstructure")
		if name == "" || name == "-" || v.Field(i).IsZero() {
			continue
		}
		n.setting(prefix+name, v.Field(i), f.Tag, lines)
	}
}

func (n *Names) setting(name string, v reflect.Value, tag reflect.StructTag, lines *[]string) {
	switch v.Kind() {
	case reflect.Pointer:
		n.setting(name, v.Elem(), tag, lines)
	case reflect.Struct:
		n.section(name+".", v, lines)
	case reflect.Map:
		at := map[string]reflect.Value{}
		for k, e := range v.Seq2() {
			at[k.String()] = e
		}
		for _, k := range slices.Sorted(maps.Keys(at)) {
			n.setting(name+"."+n.Same(strings.TrimSuffix(name, "s"), k), at[k], tag, lines)
		}
	case reflect.Slice:
		var all []string
		for i := range v.Len() {
			all = append(all, n.scalar(v.Index(i), tag))
		}
		*lines = append(*lines, name+": ["+strings.Join(all, ", ")+"]")
	default:
		*lines = append(*lines, name+": "+n.scalar(v, tag))
	}
}

func (n *Names) scalar(v reflect.Value, tag reflect.StructTag) string {
	if v.Kind() != reflect.String {
		return fmt.Sprint(v.Interface())
	}
	text := v.String()
	if slices.Contains(strings.Fields(tag.Get("choice")), text) {
		return text
	}
	switch tag.Get("check") {
	case "jid", "bare":
		return n.Person(text)
	case "hostport", "address":
		return n.Place(text)
	case "path", "input":
		return n.Path(text)
	}
	if p, ok := n.given[key(text)]; ok {
		return p
	}
	n.Hide(text)
	return "set"
}

// Path is the placeholder of a file or directory. Its last name is hidden, too.
func (n *Names) Path(path string) string {
	if path == "" {
		return left
	}
	n.Hide(filepath.Base(path))
	return n.Same("path", path)
}
