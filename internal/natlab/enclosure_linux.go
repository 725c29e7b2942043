package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"jetsend/internal/xmpptest/enclosed"
)

const (
	// base is where everything of a run lives, inside the enclosure's own /tmp.
	base = "/tmp/n"
	// tmpSize bounds the memory that a run's files may take: the largest of -speed
	// is there twice.
	tmpSize = "size=3g,mode=1777"
)

// enter prepares the namespaces that this process was started in, and returns
// the copy of the program under test that can be seen in there.
func enter(o options) (jetsend string, err error) {
	program, err := os.ReadFile(o.jetsend)
	if err != nil {
		return "", fmt.Errorf("read the program under test: %w", err)
	}
	// /run has the names of network namespaces, and the lock of xtables.
	if err := enclosed.Enter(tmpSize, "/tmp", "/run"); err != nil {
		return "", err
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("make base directory: %w", err)
	}
	jetsend = filepath.Join(base, "jetsend")
	if err := os.WriteFile(jetsend, program, 0o755); err != nil {
		return "", fmt.Errorf("copy the program under test: %w", err)
	}
	return jetsend, nameHosts()
}

// nameHosts makes the server's names resolve, and nothing else: a look-up over
// DNS is refused at once by the server, where nobody listens for it. It would be a
// packet that a watch sees.
func nameHosts() error {
	text := "127.0.0.1 localhost\n::1 localhost\n"
	for _, ip := range []string{serverV4, serverV6} {
		text += fmt.Sprintf("%s %s proxy.%s\n", ip, domain, domain)
	}
	for _, ip := range []string{stunV4, stunV6} {
		text += fmt.Sprintf("%s stun.%s\n", ip, domain)
	}
	err := enclosed.Cover(base, "/etc/hosts", text)
	if err == nil {
		err = enclosed.Cover(base, "/etc/resolv.conf", "nameserver "+serverV4+"\noptions timeout:1 attempts:1\n")
	}
	if errors.Is(err, os.ErrNotExist) { // a link into /run leads nowhere here, and so to no name server
		return nil
	}
	return err
}
