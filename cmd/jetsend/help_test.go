package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// TestHelpFits: every help text fits on a screen, and leads to help that is there.
func TestHelpFits(t *testing.T) {
	a := newApp(system{Env: func(string) string { return "" }})
	root := newRootCommand(a)
	seen := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		seen++
		cmd.InitDefaultHelpFlag()
		lines := strings.Split(strings.TrimRight(helpText(cmd), "\n"), "\n")
		if cmd.Name() == "config-example" { // a file, and no text
			lines = nil
		}
		if len(lines) > helpLines {
			t.Errorf("%s: %d lines, and %d at most", cmd.CommandPath(), len(lines), helpLines)
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > helpColumns {
				t.Errorf("%s: %d characters in %q", cmd.CommandPath(), utf8.RuneCountInString(line), line)
			}
		}
		if topics, _, ok := strings.Cut(strings.TrimPrefix(cmd.Annotations[topicsAnnotation], "jetsend help "), ";"); ok {
			for topic := range strings.SplitSeq(topics, ", ") {
				if found, _, err := root.Find([]string{topic}); err != nil || found == root {
					t.Errorf("%s leads to %s, which is not there", cmd.CommandPath(), topic)
				}
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
	if seen < 30 {
		t.Errorf("only %d texts", seen)
	}
}

// TestHelpIsWhole: what a brief help leaves out is in its topics, every flag and every paragraph.
func TestHelpIsWhole(t *testing.T) {
	f := newFixture(t)
	for name, topics := range map[string][]string{"send": {"sending", "sending-later", "sending-flags"}, "receive": {"receiving"}} {
		all := ""
		for _, topic := range append([]string{name}, topics...) {
			f.wants(0, nil, "help", topic)
			all += f.out.String()
		}
		root := newRootCommand(newApp(system{Env: func(string) string { return "" }}))
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		text, _, _ := strings.Cut(cmd.Long, exitStatusTitle)
		for word := range strings.FieldsSeq(text + cmd.LocalFlags().FlagUsages()) {
			if !strings.Contains(all, word) && word != "-h," && word != "--help" {
				t.Errorf("%s: %q is in no topic", name, word)
			}
		}
	}
	f.wants(0, nil, "help")
	for _, want := range []string{"\nSend:\n", "\nReceive:\n", "\nPeople, and whose keys to trust:\n", "\nThe account:\n", "\nLook, go on, repair:\n", "  doctor  "} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, f.out.String())
		}
	}
}
