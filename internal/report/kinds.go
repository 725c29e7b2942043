package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind says how a value is shown.
type kind int

// The kinds. The zero kind is left out.
const (
	none     kind = iota
	switched      // true, false
	number        // a small one
	amount        // any number, of our own making
	span          // a duration
	date          // of a certificate
	term          // a word of ours
	method        // of a login
	binding
	version
	person
	place
	device
	transfer
	phrases
	inside // an object, or a list of them
)

// members are how the details of findings are shown, by name, or by check and name. What is not
// here is left out: fingerprints, names and paths of files, sizes.
var members = map[string]kind{
	"domain": place, "server": place, "srv": inside, "service": term, "host": place, "port": number, "priority": amount, "weight": amount,
	"address": place, "remote": place, "family": term, "tried": inside, "addresses": place, "error": phrases, "seconds": amount,
	"mode": term, "version": version, "cipher": term, "not_after": date, "channel_bindings": binding,
	"mechanisms": method, "mechanism": method, "channel_binding": binding,
	"jid": person, "enabled": switched, "resumable": switched, "pep": switched, "publish_options": switched, "carbons": switched, "clients": person,
	"id": device, "listed": switched, "bundle": switched, "prekeys": amount, "current": switched, "devices": inside, "trust": term, "new": switched,
	"usable": switched, "problem": phrases, "system": term, "architecture": term, "limits": term,
	"candidates": inside, "type": term, "way": term, "router": term, "external": place, "ipv6": place, "mapping": place,
	"mapping_by": term, "mapping_error": phrases, "proxies": inside, "offered": switched, "answers": switched, "allowed": switched, "block_size": amount,
	"subscription": term, "asked": switched, "asks": switched, "show": term, "client.name": term, "client.version": version, "form": term, "capable": switched, "reason": phrases,
	"transports": term, "transfer": transfer, "direction": term, "to": person, "encryption": term, "name_hidden": switched, "receipt": switched,
	"items": amount, "meet": place,
}

// attributes are how those of the log are shown.
var attributes = map[string]kind{
	"transfer": transfer, "peer": person, "from": person, "to": person, "with": person, "of": person, "jid": person, "client": person,
	"by": person, "address": place, "host": place, "remote": place, "router": place, "external": place, "domain": place,
	"error": phrases, "reason": phrases, "resumed": switched, "direct_tls": switched, "paused": switched, "without_token": switched, "taken": switched,
	"careful": switched, "code": number, "port": number, "block": number, "unacknowledged_stanzas": number, "retry_in": span,
	"mechanism": method, "binding": binding, "service": term,
}

// plain are the words that are shown as they are, wherever a word of ours is meant.
var plain = strings.Fields(`xmpp-client xmpps-client ipv4 ipv6 direct starttls proxy mapped blind verified undecided distrusted
 meet reload keyring names rename holes service none keeps-port changes-ports unknown nat-pmp upnp to from both away chat dnd xa
 jetsend:1 jet jet-draft encrypted-file s5b ibb sent received auto aes-128-gcm aes-256-gcm s5b,ibb ibb,s5b
 linux darwin windows freebsd openbsd netbsd android amd64 arm64 arm 386 riscv64 loong64 ppc64le s390x
 jetsend Conversations Cheogram Dino Gajim Psi Psi+ Libervia Monal Siskin Kaidan Profanity Movim aTalk Monocles
 ask contacts all skip overwrite update tls-exporter tls-unique tls-server-end-point
 TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256
 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256`)

var (
	methods  = regexp.MustCompile(`^((SCRAM|HT)-SHA3?-(1|224|256|384|512)(-(PLUS|NONE|EXPR|UNIQ|ENDP))?|PLAIN|EXTERNAL|ANONYMOUS|DIGEST-MD5|CRAM-MD5|OAUTHBEARER|X-OAUTH2|GSSAPI)$`)
	versions = regexp.MustCompile(`^(TLS )?[0-9]{1,3}(\.[0-9]{1,4}){1,2}$`)
)

// value shows a text as what its kind says, and what is not of that kind as left out.
func (n *Names) value(k kind, text string) string {
	switch k {
	case person:
		return n.Person(text)
	case place:
		return n.Place(text)
	case device, transfer:
		return n.Same(map[kind]string{device: "device", transfer: "transfer"}[k], text)
	case phrases:
		return strconv.Quote(Phrases(text))
	case none, inside:
		return ""
	}
	if harmless(k, text) {
		return text
	}
	return left
}

// harmless reports whether a text is what its kind says.
func harmless(k kind, text string) bool {
	switch k {
	case switched:
		return text == "true" || text == "false"
	case number:
		_, err := strconv.ParseUint(text, 10, 16)
		return err == nil
	case amount:
		_, err := strconv.ParseFloat(text, 64)
		return err == nil
	case span:
		_, err := time.ParseDuration(text)
		return err == nil
	case date:
		_, err := time.Parse(time.RFC3339, text)
		return err == nil
	case term, binding:
		return slices.Contains(plain, text)
	case method:
		return methods.MatchString(text)
	case version:
		return versions.MatchString(text)
	}
	return false
}

// Details shows those of a finding in one line; only what is on the list is in it.
func (n *Names) Details(check string, details any) string {
	raw, err := json.Marshal(details)
	if err != nil || details == nil {
		return ""
	}
	var tree any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if d.Decode(&tree) != nil {
		return ""
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return ""
	}
	return n.object(check, object)
}

func (n *Names) object(check string, object map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		k, ok := members[check+"."+name]
		if !ok {
			k = members[name]
		}
		if text := n.tree(check, k, object[name]); text != "" {
			parts = append(parts, name+"="+text)
		}
	}
	return strings.Join(parts, " ")
}

// tree shows a value of a member.
func (n *Names) tree(check string, k kind, v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case map[string]any:
		if k != inside {
			return ""
		}
		return "{" + n.object(check, v) + "}"
	case []any:
		if k == none {
			return ""
		}
		var all []string
		for _, e := range v {
			all = append(all, n.tree(check, k, e))
		}
		return "[" + strings.Join(all, " ") + "]"
	}
	return n.value(k, fmt.Sprint(v))
}
