package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/hook"
	"jetsend/internal/strict"
	"jetsend/internal/transfer"
)

// outlet says where received files go beside their directory: to standard
// output, to a hook.
func (a *app) outlet(cmd *cobra.Command, c *config.Config, o *transfer.ReceiveOptions) error {
	stdout, err := cmd.Flags().GetBool("stdout")
	if err != nil {
		return err
	}
	if !stdout {
		o.Hook, err = a.hook("--exec", c.Receive.Exec)
		return err
	}
	switch {
	case !o.Once:
		return usagef("--stdout is for one file").hint("add --once")
	case a.global.json:
		return usagef("--stdout and --json both want standard output").hint("leave one of them out")
	case c.Receive.Exec != "", o.PerSender:
		return usagef("with --stdout no file stays: there is nothing for --exec or --per-sender")
	}
	o.Out = a.Stdout
	return nil
}

// hook is the executable at path, which a flag names, nil for none. A hook that cannot be
// run is reported now, and not when the first file has come.
func (a *app) hook(flag, path string) (*hook.Config, error) {
	if path == "" {
		return nil, nil
	}
	abs, err := filepath.Abs(path)
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(abs)
	}
	var hints []string
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New(clean.Text(abs) + " is not a regular file")
	default:
		if why, hint := executable(info, clean.Argument(abs)); why != "" {
			err, hints = errors.New(clean.Text(abs)+" "+why), []string{hint}
			break
		}
		err = strict.Check(abs)
		var open *strict.Error
		if errors.As(err, &open) {
			hints = []string{open.Fix}
		}
	}
	if err != nil {
		return nil, &fault.Failure{Code: exitcode.LocalFile, Reason: flag, Err: err, Hints: hints}
	}
	h := &hook.Config{Path: abs}
	if a.Environ != nil {
		h.Env = a.Environ()
	}
	return h, nil
}
