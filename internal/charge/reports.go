package charge

import (
	"sync"
	"time"

	"jetsend/internal/jid"
)

const (
	// reportEvery is how often the user is told of one contact that its offers are turned
	// away: a sender that tries each of its files would fill the log.
	reportEvery = time.Minute
	// maxReports bounds the contacts of whom that is told within this time.
	maxReports = 100
)

// Reports bounds how often the user is told something of a contact. The zero value is
// ready, and may be used from several goroutines.
type Reports struct {
	mu   sync.Mutex
	last map[jid.JID]time.Time // by bare address
}

// Due reports whether the user is to be told of the contact now, and takes it for done.
func (r *Reports) Due(bare jid.JID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for who, told := range r.last {
		if now.Sub(told) >= reportEvery || now.Before(told) {
			delete(r.last, who)
		}
	}
	if _, told := r.last[bare]; told || len(r.last) >= maxReports {
		return false
	}
	if r.last == nil {
		r.last = map[jid.JID]time.Time{}
	}
	r.last[bare] = now
	return true
}
