package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"jetsend/internal/omemo"
)

func newDevicesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "devices",
		GroupID: groupPeople,
		Short:   "The account's own OMEMO devices",
		Long: `Show the OMEMO devices that the account publishes: contacts encrypt to all of
them. Without a subcommand it lists them.

` + exitStatus(onlineCodes()...),
		Example: examples("jetsend devices", "jetsend devices remove 27183"),
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDevicesList(cmd, a) },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Aliases: []string{"ls"}, Short: "List the account's devices, this one first",
			Long: `List the devices on the account's list as the server has it: id, trust, and the
fingerprint of the key in groups of eight, this device first.

` + exitStatus(onlineCodes()...),
			Args: exactly(0, ""),
			RunE: func(cmd *cobra.Command, _ []string) error { return runDevicesList(cmd, a) },
		},
		&cobra.Command{
			Use: "remove ID", Short: "Take another device off the account's list",
			Long: `Take the device with this ID off the account's list and delete its keys there:
nobody encrypts to it from then on. A client that still runs there may put
itself back. This device itself is taken off by "jetsend logout".

` + exitStatus(onlineCodes()...),
			Args: exactly(1, "one ID"),
			RunE: func(cmd *cobra.Command, args []string) error { return runDevicesRemove(cmd, a, args[0]) },
		},
	)
	return cmd
}

func runDevicesList(cmd *cobra.Command, a *app) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	return a.online(cmd.Context(), c, func(ctx context.Context, e endpoint) error { return listDevices(ctx, a, e) })
}

func listDevices(ctx context.Context, a *app, e endpoint) error {
	list, err := e.OwnDevices(ctx)
	if err != nil {
		return fmt.Errorf("list the account's devices: %w", err)
	}
	self := e.JID().Bare()
	own, _ := e.Device()
	var rows []record
	for _, d := range list {
		r := deviceRecord{JID: self.String(), ID: d.ID, Fingerprint: d.Fingerprint, Trust: d.Trust, Active: d.Active}
		if d.ID == own {
			r.Trust, r.URI = trustOwn, identityURI(self, d.ID, d.Fingerprint)
		}
		rows = append(rows, r)
	}
	a.print.Rows(rows)
	return nil
}

func runDevicesRemove(cmd *cobra.Command, a *app, text string) error {
	id, err := strconv.ParseUint(text, 10, 31)
	if err != nil || id == 0 {
		return usagef("%q is not a device id", text).hint("see `jetsend devices list`")
	}
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	err = a.online(cmd.Context(), c, func(ctx context.Context, e endpoint) error { return e.RemoveOwnDevice(ctx, uint32(id)) })
	switch {
	case errors.Is(err, omemo.ErrThisDevice):
		return usagef("%d is this device", id).hint("run `jetsend logout` to take it off")
	case errors.Is(err, omemo.ErrNoSuchDevice):
		return usagef("the account has no device %d", id).hint("see `jetsend devices list`")
	case err != nil:
		return err
	}
	a.print.Note("device %d is off the list", id)
	return nil
}
