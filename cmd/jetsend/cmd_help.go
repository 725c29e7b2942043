package main

import (
	"strings"

	"github.com/spf13/cobra"

	"jetsend"
)

// newHelpCommand is cobra's help command with an exit code for topics that do
// not exist.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND | TOPIC]",
		GroupID: groupOther,
		Short:   "Help about a command or a topic",
		Long: `Show the help text of a command, or of one of the topics below the list
of commands. The man pages have all that there is.

` + exitStatus(offlineCodes()...),
		ValidArgsFunction: completeHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || found == nil || len(rest) > 0 {
				return usagef("there is no help for %q", strings.Join(args, " ")).hint("run `jetsend help`")
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// helpTopics are commands that cannot be run: cobra shows them as topics. What they have of
// the commands of root is what the help of those has no room for.
func helpTopics(root *cobra.Command) []*cobra.Command {
	send, _, _ := root.Find([]string{"send"}) // it is there
	return []*cobra.Command{
		{Use: "exit-codes", Short: "Exit codes, the same for every command", Long: exitCodesHelp()},
		{Use: "flags", Short: "The flags of every command", Long: "These go with every command:\n" + root.PersistentFlags().FlagUsagesWrapped(helpColumns)},
		{Use: "environment", Short: "Environment variables", Long: environmentHelp},
		{Use: "config", Short: "The configuration file and its keys", Long: configHelp},
		{Use: "config-example", Short: "A configuration with every key explained", Long: strings.TrimRight(jetsend.ExampleConfig, "\n")},
		{Use: "sending", Short: "What is sent, to whom, and how it is protected", Long: sendWhat},
		{Use: "sending-later", Short: "Sends that are queued, tried, or tell others", Long: sendHow},
		{Use: "sending-flags", Short: "The less usual flags of send", Long: otherFlags(send)},
		{Use: "receiving", Short: "Whose files are taken, and what becomes of them", Long: receiveHelp},
	}
}

func exitCodesHelp() string {
	var b strings.Builder
	b.WriteString("Every command ends with one of these:\n\n")
	for _, m := range meanings() {
		writeMeaning(&b, m)
	}
	b.WriteString(`
With several files the exit code is the first present of 130, 143, 10, 9, 1, 12,
11, 8, 7, 6. Every error on standard error, "jetsend: error: ...", is followed by
"jetsend: hint: ..." lines with the exact next command where there is one. With
--json the same code is the "code" of the "failed" event.`)
	return b.String()
}

const environmentHelp = `All of these are optional. A flag wins over a variable, a variable over the
configuration file.

  JETSEND_CONFIG         the configuration file, like --config
  JETSEND_ACCOUNT        name or address of the account, like --account
  JETSEND_STATE_DIR      where keys and journal are kept, like --state-dir
  JETSEND_JID            address of the account
  JETSEND_PASSWORD       its password; other processes of the same user may be
                         able to read it, a file is better
  JETSEND_PASSWORD_FILE  a file with the password on its first line (- is
                         standard input, unless that is what is sent)
  JETSEND_SERVER         host:port of the server, instead of what DNS says
  JETSEND_TLS_CA_FILE    certificates (PEM) to trust, instead of the system's
  NO_COLOR               when set, no colours on the terminal
` + directoriesHelp + `
With JETSEND_JID and a password every command works without a configuration file
and without "jetsend login". The OMEMO device is then made on first use: keep the
state directory, or every run adds one more device to the account.`

// configHelp names every key.
var configHelp = "The configuration is one YAML file, ~/.config/jetsend/config.yaml unless --config names another one. " +
	"Every key is optional. \"jetsend help config-example\" shows a file with all of them explained, which can be edited; " +
	"so does jetsend-config(5).\n\n" + configKeys()
