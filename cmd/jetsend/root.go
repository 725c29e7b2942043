package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"jetsend/internal/invite"
)

// globalFlags are the flags of every command.
type globalFlags struct {
	config   filePath
	account  string
	stateDir filePath
	json     bool
	quiet    bool
	verbose  bool
	logLevel *choice
	logFile  filePath
}

// The groups of the command list.
const (
	groupSend    = "send"
	groupReceive = "receive"
	groupPeople  = "people"
	groupAccount = "account"
	groupRepair  = "repair"
	groupOther   = "other"
)

func newRootCommand(a *app) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "jetsend",
		Short: "Send files to XMPP contacts, end-to-end encrypted",
		Long: `jetsend sends files to XMPP contacts and receives them, end-to-end encrypted
with OMEMO keys, over the best path that both ends have.

  jetsend login                      once on each machine; or: register
  jetsend invite                     a link that makes somebody a contact
  jetsend contacts add               at the other end, to paste it
  jetsend receive --dir ~/Downloads  where files shall arrive
  jetsend send balcony.jpg romeo@montague.example

` + exitStatus(offlineCodes()...) + `

All exit codes: jetsend help exit-codes`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.prepare() },
		Args:              unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				a.print.Rows([]record{currentVersion()})
				return nil
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&version, "version", false, "show the version, as the command of that name does")
	root.SetFlagErrorFunc(flagError)
	a.addGlobalFlags(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: groupSend, Title: "Send:"},
		&cobra.Group{ID: groupReceive, Title: "Receive:"},
		&cobra.Group{ID: groupPeople, Title: "People, and whose keys to trust:"},
		&cobra.Group{ID: groupAccount, Title: "The account:"},
		&cobra.Group{ID: groupRepair, Title: "Look, go on, repair:"},
		&cobra.Group{ID: groupOther, Title: "Other:"},
	)
	root.AddCommand(
		newSendCommand(a), newReceiveCommand(a), newResumeCommand(a), newTransfersCommand(a), newDeliverCommand(a), newStatusCommand(a),
		newLoginCommand(a), newRegisterCommand(a), newLogoutCommand(a), newAccountCommand(a), newInviteCommand(a), newContactsCommand(a), newTrustCommand(a), newDevicesCommand(a), newDoctorCommand(a),
		newVersionCommand(a), newCompletionCommand(a), newGenDocsCommand(),
	)
	root.AddCommand(helpTopics(root)...)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { _, _ = io.WriteString(cmd.OutOrStdout(), helpText(cmd)) }) // there is nowhere else to complain
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultHelpFlag()
	a.completeFlags(root)
	return root
}

func (a *app) addGlobalFlags(fs *pflag.FlagSet) {
	g := &a.global
	g.logLevel = &choice{words: logWords()}
	g.config.home, g.stateDir.home, g.logFile.home = a.home, a.home, a.home
	fs.Var(&g.config, "config", "read the configuration from `FILE`")
	fs.StringVar(&g.account, "account", "", "use the account with this `NAME` or address")
	fs.Var(&g.stateDir, "state-dir", "keep keys and journal in `DIR`")
	fs.BoolVar(&g.json, "json", false, "write events and data as JSON, one object a line")
	fs.BoolVarP(&g.quiet, "quiet", "q", false, "show nothing but warnings, errors and data")
	fs.BoolVarP(&g.verbose, "verbose", "v", false, "show each offer, its path, cipher and devices, on no terminal, too")
	fs.Var(g.logLevel, "log-level", "log from this `LEVEL` up: "+strings.Join(g.logLevel.words, ", "))
	fs.Var(&g.logFile, "log-file", "append the log to `FILE` instead of standard error")
}

// flagError explains a flag that does not exist. Users of cp and scp type -r for a
// directory.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && cmd.Name() == "send" && slices.Contains([]string{"r", "R", "recursive"}, unknown.GetSpecifiedName()) {
		return usagef("%v", err).hint("leave it out: a directory is sent with all that is in it")
	}
	return usagef("%v", err).hint("run `%s --help`", cmd.CommandPath())
}

// prepare acts on the global flags, before any command runs.
func (a *app) prepare() error {
	if a.global.quiet && a.global.verbose {
		return usagef("--quiet and --verbose contradict each other").hint("leave one of them out")
	}
	a.print = a.newPrinter(a.global.json)
	return a.openLog()
}

// unknownCommand is the argument rule of commands that only have subcommands.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := usagef("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return err.hint("did you mean `%s %s`?", cmd.CommandPath(), near[0])
	}
	return err.hint("run `%s --help`", cmd.CommandPath())
}

// exactly is the argument rule of commands with a fixed number of arguments.
func exactly(n int, names string) cobra.PositionalArgs {
	return between(n, n, names)
}

// atLeast is the argument rule of commands that take several of one kind.
func atLeast(n int, names string) cobra.PositionalArgs {
	return between(n, math.MaxInt, names)
}

// between is the argument rule of commands with optional arguments.
func between(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		var err *usageError
		switch {
		case len(args) > most && most == 0:
			err = usagef("%s takes no argument, got %s", cmd.CommandPath(), shown(args[0]))
		case len(args) > most:
			err = usagef("%s takes %s and no more, got %s", cmd.CommandPath(), names, shown(args[most]))
		case len(args) < least:
			err = usagef("%s needs %s", cmd.CommandPath(), names)
		default:
			return nil
		}
		return err.hint("%s", "usage: "+cmd.UseLine())
	}
}

// shown is an argument in an error: an invitation is a secret.
func shown(arg string) string {
	if invite.IsLink(arg) {
		return "an invitation"
	}
	return strconv.Quote(arg)
}

// examples formats the example section of a help text.
func examples(lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	return strings.TrimRight(b.String(), "\n")
}
