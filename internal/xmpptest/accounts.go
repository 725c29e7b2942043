package xmpptest

import "context"

// AddAccount makes or changes an account of a running server, which knows it
// from the next login on.
func (s *Server) AddAccount(user, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backend.addAccount(context.Background(), user, password)
}

// JID returns the bare JID of a user of this server.
func (s *Server) JID(user string) string { return user + "@" + s.Domain }

// Subscribe gives both users of a running server a mutual presence
// subscription, as if each had asked and agreed. It takes effect for a user at
// the next login of a user that was wholly offline: a roster in use may stay as
// it is under its sessions.
func (s *Server) Subscribe(a, b string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.backend.link(context.Background(), a, b); err != nil {
		return err
	}
	return s.backend.link(context.Background(), b, a)
}

// populate makes the accounts that a server has from the start.
func (s *Server) populate(ctx context.Context, o Options) error {
	for i, a := range o.Accounts {
		if err := s.backend.addAccount(ctx, a.User, a.Password); err != nil {
			return err
		}
		for _, b := range o.Accounts[:i] {
			if !o.Mutual {
				break
			}
			for _, pair := range [][2]string{{a.User, b.User}, {b.User, a.User}} {
				if err := s.backend.link(ctx, pair[0], pair[1]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
