package transfer

import (
	"fmt"

	"jetsend/internal/event"

	"jetsend/internal/clean"
)

// maxChangesShown bounds the warnings about what is not as it was sent.
const maxChangesShown = 10

// tellChanges warns of the first changes, and says how many more there are.
func (e *Endpoint) tellChanges(name string, count int, texts []string) {
	for _, text := range texts[:min(len(texts), maxChangesShown)] {
		e.cfg.Report(event.Warning{Text: text})
	}
	if more := count - maxChangesShown; more > 0 {
		e.cfg.Report(event.Warning{Text: fmt.Sprintf("%s: %d more are not as they were sent", clean.Text(name), more)})
	}
}

// reportSent says that the file is complete at the other end, and what is not as it
// was sent: by the word of the receiver, or else by the rules for names.
func (u *upload) reportSent(sent event.Sent) {
	switch {
	case u.differs != nil:
		sent.Differences = *u.differs
	case sent.VerifiedByPeer:
		sent.Renamed, _ = u.src.Renames()
	}
	if n := sent.LeftOut; n > 0 {
		u.e.cfg.Report(event.Warning{Text: fmt.Sprintf("%s: the receiver left out %d symbolic links, which its file system does not have", clean.Text(u.head.Name), n)})
	}
	u.e.cfg.Report(sent)
}
