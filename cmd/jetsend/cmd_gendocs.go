package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// newGenDocsCommand writes the man pages. It is hidden: only the build uses it.
func newGenDocsCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "gen-docs DIR",
		Short:  "Write the man pages",
		Long:   "Write a man page for every command into DIR. The date in them is SOURCE_DATE_EPOCH when it is set.\n\n" + exitStatus(offlineCodes()...),
		Hidden: true,
		Args:   exactly(1, "one DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("make the directory: %w", err)
			}
			root := cmd.Root()
			forManual(root)
			withoutFlags(root)
			root.Long += manSection("ENVIRONMENT", environmentHelp) + manSection("FILES", filesHelp)
			return writeManuals(root, args[0])
		},
	}
}

// writeManuals writes the page of a command, and of those below it. Cobra writes a
// month where a page has its date (man-pages(7)): YYYY-MM-DD.
func writeManuals(cmd *cobra.Command, dir string) error {
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writeManuals(sub, dir); err != nil {
			return err
		}
	}
	var page bytes.Buffer
	header := &doc.GenManHeader{Section: "1", Source: "jetsend " + currentVersion().Version, Manual: "jetsend manual"}
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return err
	}
	month, date := header.Date.Format(`"Jan 2006"`), header.Date.UTC().Format(`"2006-01-02"`)
	text := bytes.Replace(page.Bytes(), []byte(month), []byte(date), 1)
	return os.WriteFile(filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"), text, 0o644)
}

// filesHelp is for the manual; docs/files.md has the same as a table.
const filesHelp = `  ~/.config/jetsend/config.yaml  the configuration, see jetsend-config(5)
  ~/.local/state/jetsend/        the OMEMO keys of this machine, the keys of
                                 contacts, the list of transfers: one file for
                                 each account`

// forManual turns the texts of a command, and of those below it, into Markdown
// with the sections of a man page. Cobra's own list of options would show a
// switch as --json[=false], so the options become a part of the text.
func forManual(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		forManual(sub)
	}
	cmd.InitDefaultHelpFlag()
	switch {
	case !cmd.HasParent():
		cmd.Use += " COMMAND"
	case cmd.HasAvailableSubCommands():
		cmd.Use += " [COMMAND]"
	}
	if cmd.HasAvailableFlags() && !cmd.DisableFlagsInUseLine {
		cmd.Use += " [flags]"
	}
	text, status, _ := strings.Cut(cmd.Long, exitStatusTitle+"\n")
	if !cmd.HasParent() { // its page tells all of them, and points to no other
		_, status, _ = strings.Cut(exitCodesHelp(), "\n\n")
	}
	cmd.Long = markdown(text) + manCommands(cmd) + manOptions("OPTIONS", cmd.NonInheritedFlags()) +
		manOptions("GLOBAL OPTIONS", cmd.InheritedFlags()) + manSection(exitStatusTitle, status)
}

// withoutFlags hides the flags of a command, and of those below it, from cobra.
func withoutFlags(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		withoutFlags(sub)
	}
	hide := func(f *pflag.Flag) { f.Hidden = true }
	cmd.Flags().VisitAll(hide)
	cmd.PersistentFlags().VisitAll(hide)
}

// manSection is a section of plain text, or nothing without text.
func manSection(title, text string) string {
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return "\n# " + title + "\n\n" + markdown(text)
}

// markdown keeps the lines of plain text that begin with a space as they are:
// tables and commands.
func markdown(text string) string {
	var b strings.Builder
	fenced := false
	fence := func(want bool) {
		if fenced != want {
			b.WriteString("```\n")
			fenced = want
		}
	}
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		plain := strings.TrimSpace(line) != "" && !strings.HasPrefix(line, " ")
		if plain || strings.TrimSpace(line) == "" {
			fence(false)
		} else {
			fence(true)
		}
		b.WriteString(line)
	}
	fence(false)
	return b.String()
}

// manCommands lists what a command has below it.
func manCommands(cmd *cobra.Command) string {
	var b strings.Builder
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(&b, "**%s**\n:   %s\n\n", sub.CommandPath(), sub.Short)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n# COMMANDS\n\n" + b.String()
}

// manOptions lists flags.
func manOptions(title string, flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		if f.Shorthand != "" {
			fmt.Fprintf(&b, "**-%s**, ", f.Shorthand)
		}
		fmt.Fprintf(&b, "**--%s**", f.Name)
		if name != "" {
			fmt.Fprintf(&b, " *%s*", name)
		}
		fmt.Fprintf(&b, "\n:   %s", usage)
		switch f.DefValue {
		case "", "0", "false", "[]":
		default:
			fmt.Fprintf(&b, " (default %s)", f.DefValue)
		}
		b.WriteString("\n\n")
	})
	if b.Len() == 0 {
		return ""
	}
	return "\n# " + title + "\n\n" + b.String()
}
