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
