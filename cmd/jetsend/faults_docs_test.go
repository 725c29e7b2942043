package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
)

// TestFaultCodesAreTold: every kind of failure of a transfer ends with a code that
// docs/events.md and `help exit-codes` tell, and the codes of which they say that
// `jetsend resume` goes on are those of what is always resumable.
func TestFaultCodesAreTold(t *testing.T) {
	f := newFixture(t)
	f.wants(0, nil, "help", "exit-codes")
	help, events := f.out.String(), document(t, "docs", "events.md")
	resumes := `(?m)^\| %d \|.*jetsend resume.*\|$`
	for _, k := range fault.Kinds() {
		if k.Code == exitcode.OK { // that of what the other end says depends on what that is
			continue
		}
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d  \S`, k.Code)).MatchString(help) {
			t.Errorf("%q: `help exit-codes` does not tell %d", k.Name, k.Code)
		}
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^\|[^|]*\b%d\b[^|]*\|`, k.Code)).MatchString(events) {
			t.Errorf("%q: docs/events.md does not tell %d", k.Name, k.Code)
		}
		always := k.Resumable(fault.Standing{Resumes: true}) && k.Resumable(fault.Standing{Receiving: true, Resumes: true})
		if told := regexp.MustCompile(fmt.Sprintf(resumes, k.Code)).MatchString(events); told && !always {
			t.Errorf("%q: docs/events.md says that what ends with %d is resumable", k.Name, k.Code)
		}
		if signal := k.Code == exitcode.Cancelled || k.Code == exitcode.Terminated; signal && !always {
			t.Errorf("%q: docs/events.md says that what a signal ends is resumable", k.Name)
		}
	}
}

// TestReasonsAreTold: the table of docs/protocol.md has every detail, under the conditions
// with which it is sent, with the code that it has at the other end, and says whether it
// ends the transfer there.
func TestReasonsAreTold(t *testing.T) {
	text := document(t, "docs", "protocol.md")
	rows := map[string][]string{}
	for _, line := range regexp.MustCompile("(?m)^\\| `<([a-z-]+)/>` \\|(.*)\\|$").FindAllStringSubmatch(text, -1) {
		rows[line[1]] = strings.Split(line[2], "|")
	}
	for _, k := range fault.Kinds() {
		if row, told := rows[k.Detail]; k.Detail != "" && (!told || !strings.Contains(row[0], "`"+k.Condition+"`")) {
			t.Errorf("%q: docs/protocol.md does not tell %s with %s", k.Name, k.Condition, k.Detail)
		}
	}
	details := fault.Details()
	for name, row := range rows {
		i := slices.IndexFunc(details, func(d fault.Detail) bool { return d.Name == name })
		if i < 0 {
			if name != fault.DetailConflict {
				t.Errorf("docs/protocol.md tells %s, which nobody says", name)
			}
			continue
		}
		d, code := details[i], strings.TrimSpace(row[3])
		if code != strconv.Itoa(int(d.Code)) {
			t.Errorf("docs/protocol.md tells %s with the code %s, not %d", name, code, d.Code)
		}
		if ends := strings.TrimSpace(row[4]) != ""; ends != d.Over {
			t.Errorf("docs/protocol.md tells of %s that it ends the transfer: %v", name, ends)
		}
		said := fault.Of(&fault.Ended{Reason: fault.Reason(jingle.FailedApplication, name), Proven: true})
		if said.Code != d.Code || said.Over != d.Over || (said.Paused == journal.PausedThere) != (name == fault.DetailPaused) {
			t.Errorf("%s means %+v", name, said)
		}
	}
	for _, d := range details {
		if rows[d.Name] == nil {
			t.Errorf("docs/protocol.md does not tell %s", d.Name)
		}
	}
}
