package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

// The words that the shell is offered behind a TAB come from the configuration
// and from the state on this machine. Nothing here goes online, asks, or
// complains: what cannot be read offers nothing.

// completer is what cobra asks for the words that fit a place.
type completer = cobra.CompletionFunc

// offer ends a completer: words that begin with what was typed, and no files.
func offer(words []cobra.Completion, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	words = slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, toComplete) })
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeContact offers contacts for the first argument, and nothing behind it.
func (a *app) completeContact(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return offer(a.contactWords(cmd, toComplete), toComplete)
}

// completeSend offers files, and from the second argument on contacts as well; with
// a command only contacts, and behind them the files that it may be given.
func (a *app) completeSend(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if command, err := cmd.Flags().GetBool(fromCommand); err == nil && command && len(args) == 0 {
		return a.completeContact(cmd, args, toComplete)
	} else if len(args) == 0 || command {
		return nil, cobra.ShellCompDirectiveDefault
	}
	words, _ := offer(a.contactWords(cmd, toComplete), toComplete)
	return words, cobra.ShellCompDirectiveDefault
}

// contactWords are the names of the configuration and the addresses that the
// state knows: each contact once, by its name where it has one and no address is
// being typed.
func (a *app) contactWords(cmd *cobra.Command, typed string) []cobra.Completion {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return nil
	}
	var words []cobra.Completion
	named := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(c.Contacts)) {
		words = append(words, cobra.CompletionWithDesc(name, c.Contacts[name]))
		if j, ok := c.Address(name); ok {
			named[j.String()] = !strings.Contains(typed, "@")
		}
	}
	learned := a.names(cmd.Context(), c)
	for _, name := range slices.Sorted(maps.Keys(learned)) {
		if j := learned[name]; !c.Configured(name) {
			words = append(words, cobra.CompletionWithDesc(name, j.String()))
			named[j.String()] = !strings.Contains(typed, "@")
		}
	}
	known := make(map[string]bool)
	_ = a.withTransfers(cmd.Context(), c, func(t transfers) error {
		rows, err := t.List(cmd.Context())
		for _, r := range rows {
			known[r.Peer.String()] = true
		}
		return err
	})
	for _, d := range a.knownDevices(cmd, c) {
		known[d.JID.String()] = true
	}
	for _, address := range slices.Sorted(maps.Keys(known)) {
		if clean.Text(address) == address && !named[address] {
			words = append(words, address)
		}
	}
	return words
}

// knownDevices are those in the state.
func (a *app) knownDevices(cmd *cobra.Command, c *config.Config) []device {
	account, dir, err := a.place(c)
	if err != nil {
		return nil
	}
	k, err := a.openKeys(cmd.Context(), dir, account, c.Trust)
	if err != nil || k == nil {
		return nil
	}
	defer func() { _ = k.Close() }() // only read
	list, err := k.List(cmd.Context(), jid.JID{})
	if err != nil {
		return nil
	}
	return list
}

// completeTransfers offers the ids of the transfers that ok lets through and
// that are not named yet; one of them, or several.
func (a *app) completeTransfers(several bool, ok func(*journal.Row) bool) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !several {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := a.loadConfig(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var words []cobra.Completion
		_ = a.withTransfers(cmd.Context(), c, func(t transfers) error {
			records, err := a.list(cmd.Context(), t)
			ids := wordsOf(records, toComplete)
			for i, r := range records {
				named := func(arg string) bool { return arg != "" && strings.HasPrefix(r.Transfer, strings.ToLower(arg)) }
				if ok(r.row) && !slices.ContainsFunc(args, named) {
					words = append(words, cobra.CompletionWithDesc(ids[i], strings.Join(r.Columns()[1:], ", ")))
				}
			}
			return err
		})
		return offer(words, toComplete)
	}
}

// wordsOf are the ids of rows as they are offered: the short form where that is
// unique and not less than what was typed.
func wordsOf(rows []transferRecord, typed string) []string {
	shared := make(map[string]int, len(rows))
	for i := range rows {
		shared[short(rows[i].Transfer)]++
	}
	words := make([]string, len(rows))
	for i := range rows {
		words[i] = short(rows[i].Transfer)
		if len(typed) > len(words[i]) || shared[words[i]] > 1 {
			words[i] = rows[i].Transfer
		}
	}
	return words
}

// unquoted takes the marks off the texts of flags by which their help finds the name
// of a value: a shell would show them.
func unquoted(cmd *cobra.Command) {
	strip := func(f *pflag.Flag) { f.Usage = strings.ReplaceAll(f.Usage, "`", "") }
	cmd.LocalNonPersistentFlags().VisitAll(strip)
	cmd.PersistentFlags().VisitAll(strip)
	for _, sub := range cmd.Commands() {
		unquoted(sub)
	}
}

// completeHelp offers the commands and topics below those that were named.
func completeHelp(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	found, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []cobra.Completion
	for _, sub := range found.Commands() {
		if sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			words = append(words, cobra.CompletionWithDesc(sub.Name(), sub.Short))
		}
	}
	return offer(words, toComplete)
}

// completeFlags tells cobra what the values of flags can be, of every command.
func (a *app) completeFlags(cmd *cobra.Command) {
	add := func(f *pflag.Flag) {
		if complete := a.completerOf(f); complete != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails only for what is registered already
		}
	}
	cmd.LocalNonPersistentFlags().VisitAll(add)
	cmd.PersistentFlags().VisitAll(add)
	for _, sub := range cmd.Commands() {
		a.completeFlags(sub)
	}
}

// completerOf is nil for what names a file and for switches.
func (a *app) completerOf(f *pflag.Flag) completer {
	if words, ok := f.Value.(*choice); ok {
		return cobra.FixedCompletions(words.words, cobra.ShellCompDirectiveNoFileComp)
	}
	switch f.Name {
	case "transport":
		return cobra.FixedCompletions([]string{"s5b,ibb", "ibb,s5b", "s5b", "ibb"}, cobra.ShellCompDirectiveNoFileComp)
	case "from":
		return func(cmd *cobra.Command, _ []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return offer(a.contactWords(cmd, toComplete), toComplete)
		}
	case "account":
		return func(cmd *cobra.Command, _ []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
			c, err := a.loadConfig(cmd)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return offer(slices.Sorted(maps.Keys(c.Accounts)), toComplete)
		}
	case "dir", "state-dir":
		return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	case "config", "log-file", "exec", "on-complete":
		return nil
	}
	if f.Value.Type() == "bool" {
		return nil
	}
	return cobra.NoFileCompletions // sizes, rates, durations, words of one's own
}
