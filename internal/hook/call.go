package hook

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"

	"jetsend/internal/event"
	"jetsend/internal/jid"
)

// For tells a hook what was received. The text of others has been cleaned.
func For(of event.Received) Call {
	kind := "file"
	if of.Directory {
		kind = "directory"
	}
	from := of.Peer
	if j, err := jid.Parse(of.Peer); err == nil {
		from = j.Bare().String()
	}
	vars := []string{
		"JETSEND_TRANSFER=" + of.Transfer, "JETSEND_FROM=" + from, "JETSEND_PEER=" + of.Peer, "JETSEND_NAME=" + of.Name,
		"JETSEND_PATH=" + of.Path, "JETSEND_SIZE=" + strconv.FormatInt(of.Size, 10), "JETSEND_SHA256=" + of.SHA256,
		"JETSEND_VERIFIED=" + strings.Join(of.Verified, ","), "JETSEND_KIND=" + kind, "JETSEND_DESCRIPTION=" + of.Description,
	}
	stdin, _ := json.Marshal(struct { // cannot fail: strings, numbers and bools
		Event string `json:"event"`
		event.Received
	}{of.Kind(), of})
	return Call{Dir: filepath.Dir(of.Path), Vars: vars, Stdin: append(stdin, '\n')}
}

// Goods is what was sent: a file or a directory at a path, or neither.
type Goods struct {
	Path string // absolute; empty for an input
	Kind string // file, directory or input
}

// AtSent tells a hook what was sent.
func AtSent(of event.Sent, g Goods) Call {
	stdin, _ := json.Marshal(struct { // cannot fail: strings, numbers and bools
		Event string `json:"event"`
		event.Sent
	}{of.Kind(), of})
	return atEnd(of.Kind(), of.Head, g, stdin, "0",
		"JETSEND_SIZE="+strconv.FormatInt(of.Size, 10), "JETSEND_SHA256="+of.SHA256, "JETSEND_VERIFIED_BY_PEER="+strconv.FormatBool(of.VerifiedByPeer),
		"JETSEND_REASON=", "JETSEND_RESUMABLE=false")
}

// AtFailed tells a hook what was not sent, in this run.
func AtFailed(of event.Failed, g Goods) Call {
	stdin, _ := json.Marshal(struct { // cannot fail: strings, numbers and bools
		Event string `json:"event"`
		event.Failed
	}{of.Kind(), of})
	return atEnd(of.Kind(), of.Head, g, stdin, strconv.Itoa(of.Code),
		"JETSEND_SIZE=", "JETSEND_SHA256=", "JETSEND_VERIFIED_BY_PEER=false",
		"JETSEND_REASON="+of.Reason, "JETSEND_RESUMABLE="+strconv.FormatBool(of.Resumable))
}

// atEnd is what both tell. All variables are set, lest the hook should see those of a run
// that has run this one. It runs where the run does: the source may be gone.
func atEnd(kind string, h event.Head, g Goods, stdin []byte, code string, more ...string) Call {
	to := h.Peer
	if j, err := jid.Parse(h.Peer); err == nil {
		to = j.Bare().String()
	}
	vars := append([]string{
		"JETSEND_EVENT=" + kind, "JETSEND_TRANSFER=" + h.Transfer, "JETSEND_TO=" + to, "JETSEND_PEER=" + h.Peer, "JETSEND_NAME=" + h.Name,
		"JETSEND_PATH=" + g.Path, "JETSEND_KIND=" + g.Kind, "JETSEND_CODE=" + code,
	}, more...)
	return Call{Vars: vars, Stdin: append(stdin, '\n')}
}
