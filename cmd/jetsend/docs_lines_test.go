package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commandLine is one of a document. The prompt says who types it, if that matters.
type commandLine struct{ who, line string }

// output is who has written a line without a prompt, where others have one.
const output = "the output"

// asTold are the command lines of a text: those of its blocks, and what stands between
// backticks and is a command with an argument.
func asTold(text string) (lines []commandLine) {
	prompted := regexp.MustCompile(`(?m)^([a-z]+)\$ +`)
	block := regexp.MustCompile("(?ms)^```(?:sh)?\n(.*?)^```$")
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(m[1]) {
			line = strings.TrimSpace(regexp.MustCompile(`(^| +)# .*`).ReplaceAllString(line, ""))
			prompt := prompted.FindStringSubmatch(line)
			switch {
			case prompt != nil:
				lines = append(lines, commandLine{prompt[1], strings.TrimPrefix(line, prompt[0])})
			case line != "" && prompted.MatchString(m[1]):
				lines = append(lines, commandLine{output, line})
			case line != "":
				lines = append(lines, commandLine{"", line})
			}
		}
	}
	inline := regexp.MustCompile("`((?:(?:jetsend|make|sh|systemctl|sudo|apt|[^`\n]*\\| *jetsend) )[^`\n]*)`")
	for _, m := range inline.FindAllStringSubmatch(regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, ""), -1) {
		lines = append(lines, commandLine{"", strings.ReplaceAll(m[1], `\|`, "|")}) // of a table
	}
	return lines
}

// TestCommandsAreThere: every command of ours that a document names, and each of its flags,
// is one that the program has. TestDocsCommands runs those of two documents.
func TestCommandsAreThere(t *testing.T) {
	seen := 0
	for _, name := range documents(t) {
		for _, c := range asTold(document(t, name)) {
			if c.who == output || name == "docs/protocol.md" { // which has labels of keys that look like it
				continue
			}
			for _, args := range ours(c.line) {
				seen++
				if problem := unknown(args); problem != "" {
					t.Errorf("%s: %q: %s", name, c.line, problem)
				}
			}
		}
	}
	if seen < 200 {
		t.Errorf("only %d commands are named", seen)
	}
}

// ours are the arguments of each jetsend in a command line.
func ours(line string) (commands [][]string) {
	for _, part := range regexp.MustCompile(`\|\|?|&&|;|>`).Split(line, -1) {
		words := strings.Fields(part)
		for len(words) > 0 && strings.Contains(words[0], "=") { // variables
			words = words[1:]
		}
		if len(words) > 1 && words[0] == "jetsend" {
			commands = append(commands, words[1:])
		}
	}
	return commands
}

// unknown says what of a command the program does not know.
func unknown(args []string) string {
	root := newRootCommand(newApp(system{Env: func(string) string { return "" }}))
	if args[0] == "help" { // about a command, a topic, or everything
		if args = args[1:]; len(args) == 0 {
			return ""
		}
	}
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err.Error()
	}
	if cmd == root {
		return "no command"
	}
	if cmd.HasSubCommands() && cmd.Name() != "invite" && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return "no command " + rest[0] // invite takes an address
	}
	cmd.InitDefaultHelpFlag()
	for _, word := range rest {
		if word == "--" {
			return ""
		}
		if flag := regexp.MustCompile(`^--[a-z-]+`).FindString(word); flag != "" && !hasFlag(cmd, flag[2:]) {
			return "no flag " + flag
		}
	}
	return ""
}

func hasFlag(cmd *cobra.Command, name string) bool {
	return cmd.Flags().Lookup(name) != nil || cmd.InheritedFlags().Lookup(name) != nil
}
