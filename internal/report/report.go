// Package report writes what a person can show to strangers when something went wrong. Nothing
// is in it because it looks harmless: each piece is of a kind that is on a list, or left out.
// Sentences come out as the phrases of this program that are in them, addresses and places as
// placeholders, and what is known to be private is hidden once more in the finished text.
package report

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxNames bounds the placeholders of a report, of which hostile lines could make any number.
const maxNames = 5000

// left stands for what was left out.
const left = "…"

// Names gives placeholders: the same thing has the same one in all of a report.
type Names struct {
	given  map[string]string // by what it stands for, in lower case
	counts map[string]int
	hidden map[string]bool
}

// NewNames returns no names yet.
func NewNames() *Names {
	return &Names{given: map[string]string{}, counts: map[string]int{}, hidden: map[string]bool{}}
}

// Same gives several writings of one thing one placeholder of a kind, such as "account-1", and
// hides all of them. One that has a placeholder already keeps it.
func (n *Names) Same(kind string, texts ...string) string {
	placeholder := ""
	for _, t := range texts {
		if p, ok := n.given[key(t)]; ok {
			placeholder = p
		}
	}
	if placeholder == "" {
		if len(n.given) >= maxNames {
			return left
		}
		n.counts[kind]++
		placeholder = fmt.Sprintf("%s-%d", kind, n.counts[kind])
	}
	for _, t := range texts {
		if _, ok := n.given[key(t)]; !ok && key(t) != "" {
			n.given[key(t)] = placeholder
		}
	}
	return placeholder
}

// Hide has texts left out wherever they stand: secrets, and names of files.
func (n *Names) Hide(texts ...string) {
	for _, t := range texts {
		n.hidden[key(t)] = true
	}
}

// Person is the placeholder of an address, without its resource.
func (n *Names) Person(text string) string {
	bare, _, _ := strings.Cut(strings.TrimPrefix(text, "xmpp:"), "/")
	if key(bare) == "" {
		return left
	}
	local, domain, ok := strings.Cut(bare, "@")
	if !ok {
		return n.Place(bare)
	}
	n.Hide(local)
	n.Place(domain)
	return n.Same("address", bare)
}

// Place is the placeholder of a host or an IP address; a port stays as it is.
func (n *Names) Place(text string) string {
	host, port, err := net.SplitHostPort(text)
	if number, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil {
		host, port = strings.Trim(text, "[]"), ""
	} else {
		port = fmt.Sprintf(":%d", number)
	}
	host = strings.TrimSuffix(host, ".")
	switch _, err := netip.ParseAddr(host); {
	case key(host) == "":
		return left
	case err == nil:
		return n.Same("ip", host) + port
	}
	return n.Same("server", host) + port
}

// Clean hides in a finished text what has a placeholder or is to be hidden, whatever brought it
// there: the last of two walls.
func (n *Names) Clean(text string) string {
	const (
		short = 3 // a shorter one is a part of any word
		own   = "jetsend"
	)
	var all []string
	for t := range n.given {
		all = append(all, t)
	}
	for t := range n.hidden {
		all = append(all, t)
	}
	all = slices.DeleteFunc(all, func(t string) bool { return len(t) < short || t == own })
	if len(all) == 0 {
		return text
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	for i, t := range all {
		all[i] = regexp.QuoteMeta(t)
	}
	return regexp.MustCompile(`(?i)`+strings.Join(all, "|")).ReplaceAllStringFunc(text, func(found string) string {
		if p, ok := n.given[key(found)]; ok {
			return p
		}
		return "[hidden]"
	})
}

// key is what two writings of the same thing have in common.
func key(text string) string { return strings.ToLower(strings.TrimSpace(text)) }
