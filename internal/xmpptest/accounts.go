package xmpptest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// AddAccount makes or changes an account. It works while the server runs: its
// storage reads the file anew at every login.
func (s *Server) AddAccount(user, password string) error {
	return s.writeStore("accounts", user, "return { [\"password\"] = "+luaString(password)+" };\n")
}

// JID returns the bare JID of a user of this server.
func (s *Server) JID(user string) string { return user + "@" + s.Domain }

// Subscribe gives both users a mutual presence subscription, as if each had
// asked and agreed. It takes effect for a user at the next login of a user that
// was wholly offline: a roster in use is not changed under its sessions.
func (s *Server) Subscribe(a, b string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.link(a, b); err != nil {
		return err
	}
	return s.link(b, a)
}

// link enters contact into the roster of user. It knows only the entries that
// the harness made itself; what the server has added since is lost.
func (s *Server) link(user, contact string) error {
	if s.rosters[user] == nil {
		s.rosters[user] = map[string]bool{}
	}
	s.rosters[user][s.JID(contact)] = true
	var b strings.Builder
	b.WriteString("return { [false] = { [\"version\"] = 1, [\"pending\"] = {} };\n")
	for _, j := range slices.Sorted(maps.Keys(s.rosters[user])) {
		fmt.Fprintf(&b, "[%s] = { [\"subscription\"] = \"both\", [\"groups\"] = {} };\n", luaString(j))
	}
	b.WriteString("};\n")
	return s.writeStore("roster", user, b.String())
}

// writeStore writes the record of a user in one of Prosody's stores. The file
// is put in place whole, because the running server may read it at any time.
func (s *Server) writeStore(store, user, lua string) error {
	dir := filepath.Join(s.dir, "data", storeName(s.Domain), store)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make store %s: %w", store, err)
	}
	path := filepath.Join(dir, storeName(user)+".dat")
	if err := os.WriteFile(path+".new", []byte(lua), 0o600); err != nil {
		return fmt.Errorf("write %s of %s: %w", store, user, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s of %s: %w", store, user, err)
	}
	return nil
}

// Log returns what the server has logged so far, over all restarts.
func (s *Server) Log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "prosody.log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	out, _ := os.ReadFile(filepath.Join(s.dir, "output.log")) // only there when the process printed
	return string(text) + string(out)
}

// storeName encodes a host or user as Prosody's file names do: every byte that
// is not an ASCII letter or digit as %xx.
func storeName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
