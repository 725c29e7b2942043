package session

import "jetsend/internal/jid"

// Subscription returns the state of the subscription with a contact as the
// roster has it: none, to, from or both; "" for somebody who is not on it. It
// does not wait for anything and may be called by handlers.
func (s *Session) Subscription(bare jid.JID) string {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	return s.roster.items[bare.Bare()].Subscription
}
