package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/state"
	"jetsend/internal/transfer"
)

func newLogoutCommand(a *app) *cobra.Command {
	var forget bool
	cmd := &cobra.Command{
		Use:     "logout",
		GroupID: groupAccount,
		Short:   "Take this machine's OMEMO device off the server",
		Long: `Take this machine's OMEMO device off the account's device list and delete its
keys from the server, so that nobody encrypts to it any more. What the server has
given this machine to log in without the password is given back. The local state
stays: the next command that connects publishes the device again.

--forget also deletes the local state: the OMEMO keys and everything known about
contacts' keys, the list of transfers with the partial files of interrupted ones,
what is queued, the stored password, and the account in the configuration file.
Contacts who verified this device must verify the next one.

` + exitStatus(onlineCodes()...),
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runLogout(cmd, a, forget) },
	}
	cmd.Flags().BoolVar(&forget, "forget", false, "also delete the local state, the stored password and the account's configuration")
	return cmd
}

func runLogout(cmd *cobra.Command, a *app, forget bool) error {
	ctx := cmd.Context()
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	chosen, err := c.Choose(a.selection())
	if err != nil {
		return err
	}
	if forget {
		lock, err := a.quiet(ctx, c)
		if err != nil {
			return err
		}
		defer func() { _ = lock.Release() }() // nobody waits for it
	}
	err = a.online(ctx, c, func(ctx context.Context, e endpoint) error {
		if err := e.Withdraw(ctx); err != nil {
			return fmt.Errorf("withdraw the device of %s: %w", chosen.Addr, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.print.Note("the device of %s is off the server's lists", chosen.Addr)
	if !forget {
		return nil
	}
	return a.forget(ctx, c, chosen)
}

// forget deletes what this machine knows of an account.
func (a *app) forget(ctx context.Context, c *config.Config, chosen *config.Chosen) error {
	dir, err := a.stateDir()
	if err != nil {
		return err
	}
	if err := a.forgetTransfers(ctx, c); err != nil {
		return err
	}
	if err := removeState(dir, chosen.Addr); err != nil {
		return &fault.Failure{Code: exitcode.LocalFile, Reason: "delete the state", Err: err}
	}
	if err := a.keyring.Delete(chosen.Addr.String()); err != nil &&
		!errors.Is(err, config.ErrNoKeyring) && !errors.Is(err, config.ErrNotInKeyring) {
		a.console.warn("the password is still in the keyring: %v", err)
	}
	if chosen.Name != "" {
		if err := config.RemoveAccount(c.File, chosen.Name); err != nil {
			return err
		}
	}
	a.print.Note("the keys, the password and the configuration of %s are deleted", chosen.Addr)
	return nil
}

// quiet keeps the state from being used while it is deleted: a transfer on its way
// and a waiting `jetsend receive` need it, and one that begins now finds it locked.
func (a *app) quiet(ctx context.Context, c *config.Config) (*state.Lock, error) {
	account, dir, err := a.place(c)
	if err != nil {
		return nil, err
	}
	if err := a.withTransfers(ctx, c, func(t transfers) error { return idle(ctx, t) }); err != nil {
		return nil, err
	}
	return transfer.LockReceiver(dir, account.Addr, "end it first")
}

// idle returns an error when a transfer is running.
func idle(ctx context.Context, t transfers) error {
	rows, err := t.List(ctx)
	for i := range rows {
		if rows[i].State.Live() {
			return atWork(&rows[i])
		}
	}
	return err
}

// forgetTransfers removes the partial files of interrupted transfers: without
// the journal nothing would ever find them again. The others are no reason to
// keep the keys.
func (a *app) forgetTransfers(ctx context.Context, c *config.Config) error {
	return a.withTransfers(ctx, c, func(t transfers) error {
		rows, err := t.List(ctx)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := t.Forget(ctx, rows[i].Key); err != nil && !errors.Is(err, journal.ErrUnknown) {
				a.console.warn("%v", err)
			}
		}
		return nil
	})
}

// removeState deletes the database of an account with the files that SQLite
// keeps beside it, the locks of its transfers, what was read from inputs, what is
// remembered of folders, and copies of what is queued; last the lock of the receiver, which the caller holds: the next process to take it finds no state.
func removeState(dir string, account jid.JID) error {
	path := state.Path(dir, account)
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	// See [journal.Open], [source.Spools], [sink.Sets], [outset.Sent], [outbox.Dir], [local.Socket], [transfer.LockReceiver].
	for _, suffix := range []string{".locks", ".spools", ".sets", ".sent", ".outbox", courierSuffix, ".sock", ".receive.lock"} {
		errs = append(errs, os.RemoveAll(path+suffix))
	}
	return errors.Join(errs...)
}
