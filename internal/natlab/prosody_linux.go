package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// prosody starts Prosody, and coturn as the STUN host.
func (s *server) prosody(ctx context.Context) error {
	for _, pair := range [][2]string{{senderUser, receiverUser}, {receiverUser, senderUser}} {
		user, contact := pair[0], pair[1]
		err := s.store("accounts", user, fmt.Sprintf("return { password = %q };\n", passwordOf(user)))
		if err == nil {
			err = s.store("roster", user, fmt.Sprintf(`return { [false] = { version = 1, pending = {} };
["%s@%s"] = { subscription = "both", groups = {} };
};
`, contact, domain))
		}
		if err != nil {
			return err
		}
	}
	config, err := s.configure("prosody.cfg.lua", prosodyConfig)
	if err != nil {
		return err
	}
	if err := s.launch(ctx, exec.Command("prosody", "--config", config, "-F"), s.addresses()...); err != nil {
		return err
	}
	return s.launch(ctx, exec.Command("turnserver", "-n", "--stun-only", "--no-auth", "--no-udp", "--no-tls", "--no-dtls", "--no-cli",
		"--listening-ip", stunV4, "--listening-ip", stunV6, "--listening-port", "3478",
		"--log-file", "stdout", "--pidfile", s.dir+"/turn.pid", "--userdb", s.dir+"/turn.db"), stunAddresses()...)
}

// store writes the record of a user in one of Prosody's stores. In the names of
// its files every byte that is no letter or digit is %xx.
func (s *server) store(store, user, lua string) error {
	dir := filepath.Join(s.dir, "data", "jet%2etest", store)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make store %s: %w", store, err)
	}
	if err := os.WriteFile(filepath.Join(dir, user+".dat"), []byte(lua), 0o600); err != nil {
		return fmt.Errorf("write %s of %s: %w", store, user, err)
	}
	return nil
}
