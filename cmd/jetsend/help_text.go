package main

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"jetsend/internal/config"
)

// A help text fits on a screen: helpLines lines of helpColumns characters. What is longer is in
// the man page, which has all of it, and in topics.
const (
	helpLines   = 60
	helpColumns = 80
)

// The annotations of commands whose whole text is too long: what stands in its place, which flags
// are told along with it, and the topics that have the rest.
const (
	briefAnnotation  = "jetsend_brief"
	flagsAnnotation  = "jetsend_flags"
	topicsAnnotation = "jetsend_topics"
)

// brief has a command's help say less than its man page.
func brief(cmd *cobra.Command, text, flags, topics string) {
	cmd.Annotations = map[string]string{briefAnnotation: text, flagsAnnotation: flags, topicsAnnotation: topics}
}

// helpText is the help of a command or topic.
func helpText(cmd *cobra.Command) string {
	text, status, _ := strings.Cut(cmd.Long, exitStatusTitle+"\n")
	if short := cmd.Annotations[briefAnnotation]; short != "" {
		text = short
	}
	if cmd.IsAdditionalHelpTopicCommand() {
		return strings.TrimRight(reflow(text), "\n") + "\n"
	}
	var b strings.Builder
	b.WriteString(strings.TrimRight(reflow(text), "\n") + "\n")
	if !cmd.HasParent() {
		b.WriteString(rootCommands(cmd))
		return b.String()
	}
	fmt.Fprintf(&b, "\nUsage:\n  %s\n", cmd.UseLine())
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "Also: %s\n", strings.Join(cmd.Aliases, ", "))
	}
	if cmd.HasExample() {
		b.WriteString("\nExamples:\n")
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			b.WriteString(folded(line))
		}
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				b.WriteString(listed(sub))
			}
		}
	}
	b.WriteString(flagsText(cmd))
	var codes []string
	for _, m := range regexp.MustCompile(`(?m)^ {2,4}(\d+)  `).FindAllStringSubmatch(status, -1) {
		codes = append(codes, m[1])
	}
	b.WriteString("\n" + reflow("Exit codes: "+strings.Join(codes, ", ")+" (jetsend help exit-codes). Flags of every command: jetsend help flags."))
	if topics := cmd.Annotations[topicsAnnotation]; topics != "" {
		b.WriteString("More: " + topics + "\n")
	}
	return b.String()
}

// folded is a command of a shell in lines that are short enough, as far as its words allow.
func folded(line string) string {
	text := ""
	for len(line) > helpColumns {
		at := strings.LastIndex(line[:helpColumns-1], " ")
		if strings.TrimSpace(line[:max(at, 0)]) == "" {
			break
		}
		text += line[:at] + " \\\n"
		line = "      " + line[at+1:]
	}
	return text + line + "\n"
}

// listed is a command in a list.
func listed(cmd *cobra.Command) string { return fmt.Sprintf("  %-11s  %s\n", cmd.Name(), cmd.Short) }

// rootCommands lists all commands by what one wants to do.
func rootCommands(root *cobra.Command) string {
	var b strings.Builder
	for _, g := range root.Groups() {
		b.WriteString("\n" + g.Title + "\n")
		for _, cmd := range root.Commands() {
			if cmd.GroupID == g.ID && cmd.IsAvailableCommand() {
				b.WriteString(listed(cmd))
			}
		}
	}
	b.WriteString("\nHelp about a command: jetsend help COMMAND. More, by jetsend help ...\n")
	for _, cmd := range root.Commands() {
		if cmd.IsAdditionalHelpTopicCommand() {
			fmt.Fprintf(&b, "  %-14s  %s\n", cmd.Name(), cmd.Short)
		}
	}
	return b.String()
}

// flagsText tells a command's own flags: all of them, or the usual ones and the names of the rest.
func flagsText(cmd *cobra.Command) string {
	usual := strings.Fields(cmd.Annotations[flagsAnnotation])
	told, rest := pflag.NewFlagSet("", pflag.ContinueOnError), []string{}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Hidden || f.Name == "help":
		case len(usual) == 0 || strings.Contains(" "+strings.Join(usual, " ")+" ", " "+f.Name+" "):
			told.AddFlag(f)
		default:
			rest = append(rest, "--"+f.Name)
		}
	})
	text := ""
	if told.HasFlags() {
		text = "\nFlags:\n" + told.FlagUsagesWrapped(helpColumns)
	}
	if len(rest) > 0 {
		text += reflow("Other flags: " + strings.Join(rest, ", "))
	}
	return text
}

// reflow breaks paragraphs at the width of a help text; lines that begin with a space, and the
// ones above them, stay as they are.
func reflow(text string) string {
	var b strings.Builder
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			b.WriteString("\n")
		}
		if strings.HasPrefix(paragraph, " ") || strings.Contains(paragraph, "\n ") {
			b.WriteString(paragraph + "\n")
			continue
		}
		for _, line := range wrap(strings.ReplaceAll(paragraph, "\n", " "), helpColumns) {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// otherFlags is the topic of what a brief help only names.
func otherFlags(cmd *cobra.Command) string {
	usual := " " + cmd.Annotations[flagsAnnotation] + " "
	rest := pflag.NewFlagSet("", pflag.ContinueOnError)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" && !strings.Contains(usual, " "+f.Name+" ") {
			rest.AddFlag(f)
		}
	})
	return "The flags of \"" + cmd.CommandPath() + "\" that its help only names:\n" + rest.FlagUsagesWrapped(helpColumns)
}

// configKeys lists the keys of the configuration, by section.
func configKeys() string {
	var b strings.Builder
	configSection(&b, reflect.TypeFor[config.Config](), "")
	return b.String()
}

func configSection(b *strings.Builder, t reflect.Type, at string) {
	var names []string
	var below []reflect.StructField
	for i := range t.NumField() {
		f := t.Field(i)
		switch name := f.Tag.Get("mapstructure"); {
		case name == "" || name == "-":
		case f.Type.Kind() == reflect.Struct || f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.Struct:
			below = append(below, f)
		default:
			names = append(names, name)
		}
	}
	title := cmp.Or(at, "at the top")
	fmt.Fprintf(b, "  %s:\n    %s\n", title, strings.Join(wrap(strings.Join(names, ", "), helpColumns-4), "\n    "))
	for _, f := range below {
		name, part := strings.TrimPrefix(at+"."+f.Tag.Get("mapstructure"), "."), f.Type
		if part.Kind() == reflect.Map {
			name, part = name+".NAME", part.Elem()
		}
		configSection(b, part, name)
	}
}
