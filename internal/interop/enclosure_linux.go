package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"jetsend/internal/xmpptest/enclosed"
)

const (
	// base is where everything of a run lives, inside the enclosure's own /tmp.
	// Short, because file names are typed into a dialogue key by key.
	base = "/tmp/i"
	// tmpSize bounds the memory that a run's files may take.
	tmpSize = "size=1g,mode=1777"
)

// enclosure is what the machine outside gave in before its /tmp was covered.
type enclosure struct {
	jetsend string   // copy of the program under test, "" when there is none
	logs    *os.Root // directory outside for logs, nil when none is wanted
}

// enter prepares the namespaces that this process was started in.
func enter(ctx context.Context, o options) (*enclosure, error) {
	program, err := os.ReadFile(o.jetsend)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the program under test: %w", err)
	}
	e := &enclosure{}
	if o.logs != "" {
		if e.logs, err = os.OpenRoot(o.logs); err != nil {
			return nil, fmt.Errorf("open directory for logs: %w", err)
		}
	}
	if err := enclosed.Enter(tmpSize, "/tmp"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, fmt.Errorf("make base directory: %w", err)
	}
	if err := bringUpLoopback(ctx); err != nil {
		return nil, err
	}
	if len(program) > 0 {
		e.jetsend = filepath.Join(base, "jetsend")
		if err := os.WriteFile(e.jetsend, program, 0o755); err != nil {
			return nil, fmt.Errorf("copy the program under test: %w", err)
		}
	}
	return e, nil
}

// bringUpLoopback makes the enclosure's only network interface work. It gets a
// second address, because with nothing but 127.0.0.1 the C library finds no
// host for a program that asks for usable addresses (AI_ADDRCONFIG), as Dino does.
func bringUpLoopback(ctx context.Context) error {
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"address", "add", "127.0.0.2/8", "dev", "lo"}} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("bring loopback up: %w: %s", err, out)
		}
	}
	return nil
}

// nameHosts makes the servers' names resolve, and nothing else: a look-up over
// DNS is refused at once by an address where nobody listens.
func nameHosts() error {
	text := "127.0.0.1 localhost\n::1 localhost\n"
	for _, k := range serverKinds() {
		text += fmt.Sprintf("%s %s proxy.%s\n", k.ip, k.domain, k.domain)
	}
	if err := enclosed.Cover(base, "/etc/hosts", text); err != nil {
		return err
	}
	return enclosed.Cover(base, "/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
}

// certStore is the directory that covers the machine's certificate store.
const certStore = base + "/certs"

// coverCertificates hides the authorities that the machine trusts, for clients
// that know no other place for them (Dino, by GnuTLS).
func coverCertificates() error {
	const store = "/etc/ssl/certs"
	if err := os.MkdirAll(certStore, 0o755); err != nil {
		return fmt.Errorf("make certificate store: %w", err)
	}
	if err := syscall.Mount(certStore, store, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cover %s: %w", store, err)
	}
	return nil
}

// trust adds the authorities in a PEM file to those trusted in the enclosure.
// Programs that are running already may not see it.
func trust(caFile string) error {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("read authority: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(certStore, "ca-certificates.crt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open certificate store: %w", err)
	}
	_, err = f.Write(pem)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write certificate store: %w", err)
	}
	return nil
}
