package main

import (
	"fmt"
	"strings"

	"jetsend/internal/exitcode"
)

// meaning is an exit code in words.
type meaning struct {
	code exitCode
	text string
}

// meanings returns all exit codes in their order. They are the same for every
// command.
func meanings() []meaning {
	return []meaning{
		{exitcode.OK, "done: every file is complete at the other end"},
		{exitcode.Unexpected, "unexpected failure: report it, and attach what\n`" + reportCommand + "` writes"},
		{exitcode.Usage, "wrong usage"},
		{exitcode.Config, "configuration missing or invalid, or another receive\nholds the state directory"},
		{exitcode.Login, "login refused (password, certificate, mechanism)"},
		{exitcode.Unreachable, "server or network not reachable"},
		{exitcode.Offline, "contact not online (or not within --wait)"},
		{exitcode.Incapable, "contact's client cannot do what was asked"},
		{exitcode.Declined, "declined by the contact, by your own accept policy, or not\nanswered in time"},
		{exitcode.Untrusted, "key not trusted, changed, or none usable"},
		{exitcode.Integrity, "integrity: tag, hash or sealed element did not match;\nnothing was released"},
		{exitcode.Interrupted, "interrupted; \"jetsend resume\" continues it"},
		{exitcode.LocalFile, "file problem at either end (not readable, changed, no\nspace, exists), or a directory of which not all has\narrived"},
		{exitcode.Cancelled, "cancelled by SIGINT (Ctrl-C)"},
		{exitcode.Terminated, "cancelled by SIGTERM or SIGHUP"},
	}
}

// exitStatusTitle stands above the exit codes of a command's help.
const exitStatusTitle = "EXIT STATUS"

// exitStatus is the last section of a command's help: the codes that it can
// end with.
func exitStatus(codes ...exitCode) string {
	var b strings.Builder
	b.WriteString(exitStatusTitle + "\n")
	for _, m := range meanings() {
		for _, c := range codes {
			if c == m.code {
				writeMeaning(&b, m)
			}
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

func writeMeaning(b *strings.Builder, m meaning) {
	text := strings.ReplaceAll(m.text, "\n", "\n       ")
	fmt.Fprintf(b, "  %3d  %s\n", m.code, text)
}

// offlineCodes are those of commands that need no network. A local file is standard
// output, too.
func offlineCodes() []exitCode {
	return []exitCode{exitcode.OK, exitcode.Unexpected, exitcode.Usage, exitcode.LocalFile}
}

// onlineCodes are those of commands that log in.
func onlineCodes() []exitCode {
	return append(offlineCodes(), exitcode.Config, exitcode.Login, exitcode.Unreachable, exitcode.Untrusted, exitcode.Cancelled, exitcode.Terminated)
}

// transferCodes are those of commands that move files.
func transferCodes() []exitCode {
	return append(onlineCodes(), exitcode.Declined, exitcode.Integrity, exitcode.Interrupted)
}
