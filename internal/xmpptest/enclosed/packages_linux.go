package enclosed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// policyFile keeps Debian's packages from starting services while it exists
// and exits 101 (invoke-rc.d(8)).
const policyFile = "/usr/sbin/policy-rc.d"

// Install installs Debian packages, with a policy that lets no service start. What apt-get
// says goes to out.
func Install(ctx context.Context, packages []string, out io.Writer) (err error) {
	f, err := os.OpenFile(policyFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	switch {
	case err == nil:
		_, err = f.WriteString("#!/bin/sh\nexit 101\n")
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("write %s: %w", policyFile, err)
		}
		defer func() { err = errors.Join(err, os.Remove(policyFile)) }()
	case !errors.Is(err, os.ErrExist): // somebody else's policy stays
		return fmt.Errorf("write %s: %w", policyFile, err)
	}
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	return nil
}
