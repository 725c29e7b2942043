// Package filename turns the name that a peer gave a file into one that is
// safe to create in a download directory: it cannot leave the directory, hide,
// drive a terminal, or mean a device.
//
// This is the only place that decides about names. A base name check that got
// lost in a refactoring was CVE-2026-42448 elsewhere.
package filename

import (
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"jetsend/internal/clean"
)

// forbidden are the characters that Windows has in no name, besides separators and
// control characters.
const forbidden = `<>:"|?*`

// MaxBytes is the longest name: NAME_MAX of the common file systems.
const MaxBytes = 255

// fallback is the name of a file whose own name leaves nothing over.
const fallback = "file"

// Safe returns the base name of what a peer sent, made safe. It is never
// empty, at most MaxBytes long, valid UTF-8 in NFC, and Safe(Safe(s)) == Safe(s).
func Safe(name string) string {
	name = strings.ToValidUTF8(name, "_")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	// One rule can uncover what another forbids (a cut may end in a dot), so
	// the rules run until nothing changes; each only shortens or exchanges,
	// but for the device prefix, which no device name survives.
	for {
		next := pass(name)
		if next == name {
			return name
		}
		name = next
	}
}

// Component returns one component of a path inside a directory that a peer
// sent, made safe by the rules of [Safe]. It differs in one thing: a separator
// is no reason to drop what stands before it, because a component has none and
// systems differ in what they take for one ("\\" is an ordinary character on
// Unix). The caller refuses "", "." and "..", which no honest peer sends.
func Component(name string) string {
	return Safe(strings.NewReplacer("/", "_", `\`, "_").Replace(name))
}

func pass(name string) string {
	name = norm.NFC.String(name)
	name = strings.Map(func(r rune) rune {
		switch {
		case clean.Hidden(r), strings.ContainsRune(forbidden, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, name)
	name = strings.TrimLeft(name, " ")
	name = strings.TrimRight(name, ". ")
	if strings.HasPrefix(name, ".") {
		name = "_" + name[1:]
	}
	if device(name) {
		name = "_" + name
	}
	if name == "" {
		return fallback
	}
	if len(name) > MaxBytes {
		stem, ext := split(name)
		name = cut(stem, MaxBytes-len(ext)) + ext
	}
	return name
}

// plainBytes is what every file system takes: some that encrypt names have room for
// no more than 143 bytes.
const plainBytes = 100

// Plain returns a name from [Safe] in letters that every file system has: one that
// is mounted with an old code page has only these.
func Plain(name string) string {
	name = strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '_'
		}
		return r
	}, name)
	stem, ext := split(name)
	return Safe(cut(stem, plainBytes-len(ext)) + ext)
}

// Numbered returns the name to try when n others before it are taken:
// "a.iso", "a (1).iso", "a (2).iso". It is never longer than MaxBytes.
func Numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	suffix := " (" + strconv.Itoa(n) + ")"
	stem, ext := split(name)
	return cut(stem, MaxBytes-len(suffix)-len(ext)) + suffix + ext
}

// split returns the stem and the extension, which is kept when a name is cut.
func split(name string) (stem, ext string) {
	ext = path.Ext(name)
	if len(ext) > 16 || len(ext) == len(name) { // not a usual extension
		return name, ""
	}
	return name[:len(name)-len(ext)], ext
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// OnWindows reports whether the base name is one that Windows has and takes for itself: a
// colon would begin a second stream of a file, dots at the end would be dropped.
func OnWindows(name string) bool {
	return name != "" && !strings.ContainsAny(name, forbidden+`/\`) && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) &&
		strings.TrimRight(name, ". ") == name && !device(name)
}

// device reports whether name means a device on Windows, with any extension.
func device(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	rest, ok := strings.CutPrefix(stem, "COM")
	if !ok {
		rest, ok = strings.CutPrefix(stem, "LPT")
	}
	return ok && len([]rune(rest)) == 1 && strings.ContainsAny(rest, "0123456789¹²³")
}
