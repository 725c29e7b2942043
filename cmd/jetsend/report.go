package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/doctor"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/report"
)

// reportCommand is what every word about reporting a failure says to attach.
const reportCommand = "jetsend doctor --report jetsend-report.txt"

// maxLogTail is how much of the end of a log file is looked at for a report.
const maxLogTail = 256 << 10

// reporting is a report under way: it is written at the end of a run, when all is known that has
// to be hidden in it.
type reporting struct {
	a        *app
	out      io.WriteCloser
	path     string // "-": standard output
	flags    []string
	names    *report.Names
	memory   *report.Memory
	before   []report.Record // the end of the file of --log-file
	config   *config.Config
	findings []doctor.Finding
}

// beginReport makes the file, which must not be there, and begins to listen to the log.
func (a *app) beginReport(cmd *cobra.Command, path string, args []string) (*reporting, error) {
	r := &reporting{a: a, path: path, names: report.NewNames(), memory: report.NewMemory()}
	if path == "-" {
		if a.global.json {
			return nil, usagef("--json and --report - contradict each other").hint("name a file, or leave --json out")
		}
		r.out = stays{a.Stdout}
	} else {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return nil, usagef("--report: %s is there already", path).hint("name a file that is not there")
		}
		if err != nil {
			return nil, &fault.Failure{Code: exitcode.LocalFile, Reason: "make the report: " + err.Error(), Err: err}
		}
		r.out = f
	}
	cmd.Flags().Visit(func(f *pflag.Flag) { r.flags = append(r.flags, "--"+f.Name) })
	for _, arg := range args {
		r.names.Same("contact", arg)
	}
	r.before = tail(a.global.logFile.value)
	a.log = slog.New(slog.NewMultiHandler(a.log.Handler(), r.memory))
	r.hideSystem()
	return r, nil
}

// stays is a stream that is not closed.
type stays struct{ io.Writer }

// Close implements io.Closer.
func (stays) Close() error { return nil }

// hideSystem hides who and where this is.
func (r *reporting) hideSystem() {
	for _, v := range []string{"USER", "LOGNAME", "USERNAME", "HOSTNAME", "COMPUTERNAME", "JETSEND_PASSWORD", "JETSEND_ACCOUNT"} {
		r.names.Hide(r.a.Env(v))
	}
	if host, err := os.Hostname(); err == nil {
		r.names.Hide(host)
	}
	state, _ := r.a.stateDir()
	file, _, _ := r.a.configFile()
	for _, p := range []string{r.a.home(), state, file, r.path, r.a.global.logFile.value, r.a.Env("JETSEND_PASSWORD_FILE"), r.a.Env("JETSEND_TLS_CA_FILE")} {
		r.names.Path(p)
	}
}

// configured notes the configuration, whose accounts and contacts get placeholders first.
func (r *reporting) configured(c *config.Config) {
	if r == nil {
		return
	}
	r.config = c
	for _, name := range slices.Sorted(maps.Keys(c.Accounts)) {
		r.names.Same("account", name, c.Accounts[name].JID)
		r.names.Person(c.Accounts[name].JID)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Contacts)) {
		r.knows("contact", name, c.Contacts[name])
	}
}

// knows gives a name and an address the same placeholder.
func (r *reporting) knows(kind, name, address string) {
	if r == nil || name == "" && address == "" {
		return
	}
	bare, _, _ := strings.Cut(address, "/")
	r.names.Same(kind, name, bare)
	r.names.Person(bare)
}

// found notes a finding.
func (r *reporting) found(f doctor.Finding) {
	if r != nil {
		r.findings = append(r.findings, f)
	}
}

// end writes the report. err is what the run ends with.
func (r *reporting) end(ctx context.Context, err error) error {
	v := currentVersion()
	// What is ours, and names no more than the system, may well be called like a host.
	head := "jetsend report\n\nNames, addresses and places are placeholders; an ellipsis stands for what was left out.\nLook at it all the same before you show it.\n" +
		section("VERSION", []string{"version: " + v.Version, "revision: " + v.Revision, "go: " + v.Go, "platform: " + v.Platform}) +
		section("PLATFORM", r.platform())
	body := section("CONFIGURATION", r.settings())
	var findings []string
	for _, f := range r.findings {
		findings = append(findings, r.finding(f)...)
	}
	body += section("FINDINGS", append(findings, r.result(ctx, err)))
	if r.before != nil {
		body += section("LOG FILE", r.lines(r.before))
	}
	body += section("LOG OF THIS RUN", r.lines(r.memory.Records()))
	_, failed := io.WriteString(r.out, head+r.names.Clean(body))
	if failed = errors.Join(failed, r.out.Close()); failed != nil {
		return &fault.Failure{Code: exitcode.LocalFile, Reason: "write the report: " + failed.Error(), Err: failed}
	}
	if r.path != "-" && !r.a.global.quiet {
		r.a.console.line("the report is in %s: look at it before you attach it", clean.Text(r.path))
	}
	return nil
}

// section is a part of a report.
func section(title string, lines []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", title)
	for _, l := range lines {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	return b.String()
}

// result says how the run ended.
func (r *reporting) result(ctx context.Context, err error) string {
	if err == nil {
		return "exit code 0"
	}
	f := r.a.explain(ctx, err)
	return fmt.Sprintf("exit code %d: %q", f.code, report.Phrases(f.reason))
}

func (r *reporting) finding(f doctor.Finding) []string {
	line := fmt.Sprintf("%-4s %-7s %-17s", f.Status, f.Area, f.Check)
	if f.Code != 0 {
		line += fmt.Sprintf(" code=%d", f.Code)
	}
	lines := []string{line + fmt.Sprintf(" %q", report.Phrases(f.Text))}
	if details := r.names.Details(f.Check, f.Details); details != "" {
		lines = append(lines, "     "+details)
	}
	return lines
}

func (r *reporting) lines(records []report.Record) []string {
	var lines []string
	for _, record := range records {
		lines = append(lines, r.names.Line(record))
	}
	return lines
}

// settings are the configuration, and which flags and variables are given.
func (r *reporting) settings() []string {
	var lines []string
	if r.config != nil {
		lines = append(lines, fmt.Sprintf("file found: %t", r.config.Found))
		lines = append(lines, r.names.Settings(*r.config)...)
	} else {
		lines = append(lines, "it cannot be read")
	}
	lines = append(lines, "flags: "+strings.Join(r.flags, " "))
	var set []string
	for _, name := range regexp.MustCompile(`(?m)^  ([A-Z][A-Z_]+) `).FindAllStringSubmatch(environmentHelp, -1) {
		if r.a.Env(name[1]) != "" {
			set = append(set, name[1])
		}
	}
	return append(lines, "variables: "+strings.Join(set, " "))
}

// platform is what is cheap to know of this machine.
func (r *reporting) platform() []string {
	lines := []string{"system: " + runtime.GOOS, "architecture: " + runtime.GOARCH}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		lines = append(lines, "kernel: "+string(regexp.MustCompile(`^[0-9]{1,2}\.[0-9]{1,3}`).Find(text)))
	}
	if text, err := os.ReadFile("/etc/os-release"); err == nil {
		id := regexp.MustCompile(`(?m)^ID="?(alpine|arch|centos|debian|fedora|gentoo|linuxmint|manjaro|nixos|opensuse-\w+|rhel|ubuntu|void)"?$`).FindSubmatch(text)
		number := regexp.MustCompile(`(?m)^VERSION_ID="?([0-9]{1,4}(?:\.[0-9]{1,3})?)"?$`).FindSubmatch(text)
		if id != nil && number != nil {
			lines = append(lines, "distribution: "+string(id[1])+" "+string(number[1]))
		}
	}
	return append(lines, fmt.Sprintf("terminal: input or errors %t, output %t", r.a.person, isTerminal(r.a.Stdout)), "time: "+r.a.now().UTC().Format(time.RFC3339))
}

// tail reads the last lines of a log file; a file that cannot be read has none.
func tail(path string) []report.Record {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	from := max(0, info.Size()-maxLogTail)
	text, err := io.ReadAll(io.NewSectionReader(f, from, maxLogTail))
	if err != nil {
		return nil
	}
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	if from > 0 {
		lines = lines[1:] // cut off in the middle
	}
	records := []report.Record{}
	for _, l := range lines[max(0, len(lines)-report.MaxLines):] {
		records = append(records, report.Parse(string(l)))
	}
	return records
}
