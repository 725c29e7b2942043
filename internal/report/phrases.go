package report

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// known.txt has the fixed parts of this program's own sentences, one a line. TestKnown holds it
// to the source, and writes it anew with -update.
//
//go:embed known.txt
var knownText string

// others are what the system, Go and servers say (errno, package net, crypto/tls and crypto/x509,
// RFC 6120).
var others = []string{
	"connection refused", "connection reset by peer", "connection timed out", "no route to host", "network is unreachable", "host is down",
	"host is unreachable", "broken pipe", "no such host", "i/o timeout", "operation not permitted", "permission denied", "no such file or directory",
	"file exists", "not a directory", "is a directory", "no space left on device", "read-only file system", "too many open files",
	"disk quota exceeded", "file name too long", "address already in use", "cannot assign requested address", "operation timed out",
	"context deadline exceeded", "context canceled", "use of closed network connection", "unexpected EOF", "EOF", "server misbehaving",
	"Temporary failure in name resolution", "certificate signed by unknown authority", "certificate has expired or is not yet valid",
	"certificate is valid for", "certificate is not valid for any names", "failed to verify certificate", "handshake failure", "protocol version not supported",
	"first record does not look like a TLS handshake", "remote error", "internal error", "bad certificate", "unknown certificate authority",
	"not-authorized", "account-disabled", "credentials-expired", "encryption-required", "invalid-authzid", "invalid-mechanism", "malformed-request",
	"mechanism-too-weak", "temporary-auth-failure", "host-unknown", "host-gone", "policy-violation", "resource-constraint", "see-other-host",
	"system-shutdown", "remote-server-not-found", "remote-server-timeout", "service-unavailable", "item-not-found", "feature-not-implemented",
	"not-acceptable", "not-allowed", "bad-request", "internal-server-error", "recipient-unavailable", "registration-required", "subscription-required",
	"undefined-condition", "unexpected-request", "database is locked", "database disk image is malformed", "disk I/O error",
}

// book has the phrases by their first words, the longest first, and all lines of known.txt.
type book struct {
	byWord map[string][]string
	lines  map[string]bool
}

var known = sync.OnceValue(func() book {
	b := book{map[string][]string{}, map[string]bool{}}
	add := func(phrase string) {
		first := word(phrase)
		b.byWord[first] = append(b.byWord[first], phrase)
	}
	for line := range strings.Lines(knownText) {
		line = strings.TrimSpace(line)
		b.lines[line] = true
		if strings.Contains(line, " ") {
			add(line)
		}
	}
	for _, phrase := range others {
		add(phrase)
	}
	for _, phrases := range b.byWord {
		slices.SortFunc(phrases, func(a, b string) int { return len(b) - len(a) })
	}
	return b
})

// Phrases is what of a sentence is on the list, with an ellipsis for everything else.
func Phrases(text string) string {
	var out []string
	skipped := false
	for text != "" {
		phrase := phraseAt(text)
		switch {
		case phrase != "":
			if skipped {
				out = append(out, left)
			}
			out, skipped = append(out, phrase), false
			text = text[len(phrase):]
		default:
			_, size := utf8.DecodeRuneInString(text)
			w := word(text)
			skipped = skipped || strings.TrimLeft(text[:size], " :,;.()\"`") != ""
			text = text[max(size, len(w)):]
		}
	}
	if skipped {
		out = append(out, left)
	}
	return strings.Join(out, " ")
}

// phraseAt is the longest phrase with which a text begins, up to the end of a word.
func phraseAt(text string) string {
	for _, phrase := range known().byWord[word(text)] {
		if rest, ok := strings.CutPrefix(text, phrase); ok && word(rest) == "" {
			return phrase
		}
	}
	return ""
}

// word is the run of everything but space and punctuation at the beginning: a path or an address is one.
func word(text string) string {
	for i, r := range text {
		if unicode.IsSpace(r) || strings.ContainsRune(":,;()\"`", r) {
			return text[:i]
		}
	}
	return text
}

// isMessage reports whether a message of a log is one of ours.
func isMessage(text string) bool { return known().lines[text] }
