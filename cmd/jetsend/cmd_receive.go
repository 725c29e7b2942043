package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/transfer"
)

// receiveBrief is what its help says of it.
const receiveBrief = `Go online and wait for files, until it is told to stop.

A file appears under its own name only when it is complete and its authentication tag
is right. --accept says whose files are taken: ask (the default on a terminal), contacts,
verified or all; --from names who may send. Without a terminal one of them must be given.
Interrupted transfers are resumed.`

const receiveHelp = `Go online and wait for files, until it is told to stop.

A file appears under its own name only when it is complete and its
authentication tag is right; until then it is a hidden .part file. A name that
is taken already gets a number, unless --on-conflict says otherwise: skip takes no such
file, overwrite replaces it, and update is for a directory that the same contact sends
again. Only what has changed in it comes, and takes the place of what is there; files
that you have edited are kept under a name with a number, and what the contact no
longer has stays. A directory that did not come from that contact, by the same path
there, is never changed.

Whose files are taken:
  ask       contacts' files, each after a yes on the terminal (default there)
  contacts  files of contacts who see you online, with a usable key
  verified  files that come from a verified key
  all       files of anybody who can encrypt to this device
--from names who may send: alone it takes their files, with --accept it narrows
the choice. Without a terminal and without any of this the command ends with 2:
no policy is nobody, not everybody.

--insecure-plaintext also takes files that are offered without encryption, as Gajim
and Psi do, from everybody whom this policy admits. For these no key counts: the servers,
proxies and everybody on the way can read and change them, and the server says who
they are from. It does not go with --accept verified.

It resumes an interrupted transfer when the contact of it is online again
(receive.auto_resume in the configuration says for how long), and contacts get the
rest of files that were offered to them from here and interrupted, unless
--no-serve. Partial files are removed after receive.keep_interrupted.

Directories arrive as directories. --per-sender gives each contact a folder of
their own, named like their address. --once --stdout writes the one file, or the
archive of the one directory, to standard output once all of it was verified.

--exec PATH runs an executable once for each file that has arrived, without
arguments, in the directory of the file. Its environment has JETSEND_PATH,
JETSEND_KIND (file, directory), JETSEND_NAME, JETSEND_SIZE, JETSEND_FROM (address),
JETSEND_PEER (with resource), JETSEND_DESCRIPTION (of the sender, or empty),
JETSEND_TRANSFER, JETSEND_VERIFIED and JETSEND_SHA256 (when it was computed); its
standard input has the "received" event as JSON. It has 15 minutes. Its exit status
is told, and changes nothing about the transfer.

In a graphical session (of freedesktop.org's kind) the desktop shows what has arrived,
what has failed for good, and that an offer waits for a yes; --no-notify does not.

SIGTERM lets running transfers end within --drain and exits with 0; a second one
stops at once. SIGINT (Ctrl-C) stops at once. SIGHUP reads the configuration again,
for the offers from then on, and begins a new log file.`

func newReceiveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Aliases: []string{"recv"},
		Use:     "receive",
		GroupID: groupReceive,
		Short:   "Wait for files",
		Long:    receiveHelp + "\n\n" + exitStatus(transferCodes()...),
		Example: examples(
			"jetsend receive --dir ~/Downloads",
			"jetsend receive --once --from romeo@montague.example",
			"jetsend --json receive --accept contacts --dir /srv/in --min-free 10GB",
			"jetsend receive --once --stdout --from romeo@montague.example | tar -x",
			"jetsend receive --accept verified --per-sender --exec ~/bin/sort-in",
		),
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runReceive(cmd, a) },
	}
	d := config.Default().Receive
	k := keyed{cmd.Flags(), "receive"}
	k.path("dir", d.Dir, "put files into `DIR`", a.home)
	k.bool("once", false, "stop after the files of one send")
	k.choice("accept", "", "whose files to take", "ask", "contacts", "verified", "all")
	cmd.Flags().Bool(insecureFlag, false, "take files that come unencrypted, too")
	k.strings("from", "take files only from this `CONTACT`; may be repeated")
	k.size("max-size", 0, "take no file larger than this, like 200MB")
	k.size("min-free", 0, "keep this much of the disk free")
	k.choice("on-conflict", d.OnConflict, "when the name is taken", "rename", "skip", "overwrite", "update")
	k.bool("per-sender", false, "put the files of each contact into a folder of their own")
	k.value(&filePath{home: a.home, none: true}, "exec", "run the executable `PATH` for each file that has arrived; empty: none")
	k.notify()
	cmd.Flags().Bool("stdout", false, "write the file to standard output; with --once")
	k.transport()
	k.bool("no-direct", false, "make no direct connection to the contact")
	k.portMapping()
	k.rate("limit-rate", 0, "receive no faster than this per second, all files together")
	k.retry()
	k.bool("no-serve", false, "do not send the rest of a file that was offered before to a contact who asks for it")
	k.duration("drain", d.Drain, "how long running transfers may go on after SIGTERM")
	brief(cmd, receiveBrief, "", "jetsend help receiving; jetsend-receive(1)")
	return cmd
}

func runReceive(cmd *cobra.Command, a *app) error {
	ctx := cmd.Context()
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	o, err := a.receiveOptions(cmd, c)
	if err != nil {
		return err
	}
	stop, stopNow := a.signals.graceful(ctx)
	d, err := a.newDaemon(cmd, c, stopNow)
	if err != nil {
		return err
	}
	o.Stop, o.Changes, d.stopped = stop.Done(), d.changes, stop
	d.asking(&o)
	defer context.AfterFunc(stop, d.stopping)()
	login, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(stop, cancel)()
	e, err := a.connect(login, c, func(dial *dialOptions) {
		dial.Receiver, dial.Priority, dial.Report, dial.Output = true, int8(c.Receive.Priority), d.report, o.Out != nil
		dial.Connection = d.connection
	})
	if err != nil && stop.Err() != nil && ctx.Err() == nil {
		return nil // told to stop before anything had begun
	}
	if err != nil {
		return err
	}
	defer a.hangUp(ctx, e)
	if o.Out != nil { // its reader may go: that is an error to tell, not the end
		ignoreBrokenPipe()
	}
	running, end := context.WithCancel(ctx)
	var meeting sync.WaitGroup
	defer meeting.Wait()
	meeting.Go(func() { e.Meet(running) })
	defer d.attend(running, e)()
	defer end()
	where := "in " + clean.Text(o.Dir)
	if o.Out != nil {
		where = "to standard output"
	}
	a.print.Note("waiting for files as %s, %s", e.JID(), where)
	return e.Receive(ctx, o)
}

// receiveOptions turns the merged configuration into what the transfer needs.
func (a *app) receiveOptions(cmd *cobra.Command, c *config.Config) (o transfer.ReceiveOptions, err error) {
	r := c.Receive
	o = transfer.ReceiveOptions{
		Retry: transfer.RetryOptions{Retries: r.Retries, For: r.RetryFor}, NoServe: r.NoServe, AutoResume: r.AutoResume, KeepFor: r.KeepInterrupted,
		Trust: trustMode(c.Trust),
		Once:  r.Once, PerSender: r.PerSender, MaxSize: int64(r.MaxSize), MinFree: int64(r.MinFree), LimitRate: int64(r.LimitRate),
		Route: route.Options{Transports: c.Transports.Order, NoDirect: r.NoDirect}, Drain: r.Drain, Prime: r.Prime, OnConflict: conflict(r.OnConflict),
	}
	for _, text := range r.From {
		var j jid.JID
		if j, err = resolveContact(c, text); err != nil {
			return o, fmt.Errorf("--from: %w", err)
		}
		o.From = append(o.From, j)
	}
	if o.Accept, err = a.acceptPolicy(r.Accept, len(o.From) > 0); err != nil {
		return o, err
	}
	if err = insecureReceive(cmd, &o); err != nil {
		return o, err
	}
	if o.Accept == policy.Ask {
		o.Ask = a.askAccept
	}
	if o.Dir, err = downloadDir(r.Dir, a.home()); err != nil {
		return o, err
	}
	err = a.outlet(cmd, c, &o)
	return o, err
}

// acceptPolicy decides whose files are taken. Nothing said is never everybody.
func (a *app) acceptPolicy(accept string, named bool) (policy.Accept, error) {
	chosen := policy.Accept(accept)
	switch {
	case accept == "" && named:
		return policy.From, nil
	case accept == "":
		chosen = policy.Ask
	}
	if chosen != policy.Ask || a.interactive() {
		return chosen, nil
	}
	if accept == "" {
		return "", usagef("nobody's files would be taken: there is no accept policy, and no terminal to ask").
			hint("name who may send, with --from name@domain, or a policy, with --accept contacts")
	}
	return "", usagef("there is no terminal to ask before each file, as the accept policy says").
		hint("use --accept contacts, or --from name@domain")
}

func conflict(text string) inbox.Conflict {
	switch text {
	case "skip":
		return inbox.Skip
	case "overwrite":
		return inbox.Overwrite
	case "update":
		return inbox.Update
	}
	return inbox.Rename
}

// downloads is the directory in the home of the user that all examples name, and that
// most desktops have. It is made where there is none; others that are missing may be
// a disk that is not mounted.
const downloads = "Downloads"

// downloadDir makes the directory absolute and looks whether it is one, and one
// that files can be made in: that is told before anybody goes online.
func downloadDir(dir, home string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", &fault.Failure{Code: exitcode.LocalFile, Reason: "download directory", Err: err}
	}
	info, err := os.Stat(abs)
	if errors.Is(err, fs.ErrNotExist) && home != "" && abs == filepath.Join(home, downloads) {
		if err = os.Mkdir(abs, 0o700); err == nil {
			info, err = os.Stat(abs)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", &fault.Failure{
			Code: exitcode.LocalFile, Reason: "there is no download directory " + clean.Text(abs),
			Hints: []string{"run `mkdir -p " + clean.Argument(abs) + "`"},
		}
	case err != nil:
		return "", &fault.Failure{Code: exitcode.LocalFile, Reason: "download directory", Err: err}
	case !info.IsDir():
		return "", &fault.Failure{Code: exitcode.LocalFile, Reason: clean.Text(abs) + " is not a directory"}
	}
	d, err := inbox.Open(abs)
	if err != nil {
		return "", &fault.Failure{
			Code: exitcode.LocalFile, Reason: "cannot receive", Err: err, Hints: []string{"name a directory that can be written with --dir"},
		}
	}
	return abs, d.Close()
}

// bell has a terminal call its user.
const bell = "\a"

// askAccept asks about one offer on the terminal. Anything but a clear yes is
// a no.
func (a *app) askAccept(ctx context.Context, q transfer.Question) (bool, error) {
	t, err := a.OpenTTY()
	if err != nil {
		return false, err
	}
	defer func() { _ = t.Close() }() // nothing is left in it
	defer a.console.hold()()
	answer, err := t.Ask(ctx, bell+question(q))
	if err != nil {
		return false, err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// maxContents is how many of the arguments of a set a question lists.
const maxContents = 8

// contents lists what comes as a set of several arguments.
func contents(s *profile.Set) string {
	if s == nil || s.Items < 2 {
		return ""
	}
	var b strings.Builder
	listed := s.Listed[:min(len(s.Listed), maxContents)]
	for _, l := range listed {
		name := clean.Text(l.Name)
		if l.Directory {
			name = fmt.Sprintf("directory %s (%s, %d entries)", name, bytesText(l.Bytes), l.Entries)
		} else {
			name = fmt.Sprintf("%s (%s)", name, bytesText(l.Bytes))
		}
		fmt.Fprintf(&b, "  %s\n", name)
	}
	if more := s.Items - len(listed); more > 0 {
		fmt.Fprintf(&b, "  and %d more\n", more)
	}
	return b.String()
}

// question shows how far the key behind an offer is trusted, and asks. Its last
// line tells everything by itself: with --json or --quiet nothing stands above it.
func question(q transfer.Question) string {
	var b strings.Builder
	if q.Description != "" {
		fmt.Fprintf(&b, "  %q\n", clean.Text(q.Description))
	}
	trust := clean.Text(q.Device.Trust)
	if q.Device.New {
		trust += ", new"
	}
	name := clean.Text(q.Name)
	if q.Insecure {
		b.WriteString("  NOT ENCRYPTED: others can read and change it, and only the server says who it is from\n")
		name = "UNENCRYPTED " + name
	} else {
		fmt.Fprintf(&b, "  device %d (%s), with the key\n%s\n", q.Device.ID, trust, keyLines(q.Device.Fingerprint))
	}
	if q.Directory {
		name = "directory " + name
	}
	b.WriteString(contents(q.Set))
	what := fmt.Sprintf("%s (%s)", name, bytesText(q.Size))
	switch {
	case q.Set != nil && q.Set.Items > 1:
		what = fmt.Sprintf("%d files and directories (%s)", q.Set.Items, bytesText(q.Size))
		if !slices.ContainsFunc(q.Set.Listed, func(l profile.Listed) bool { return l.Directory }) && len(q.Set.Listed) == q.Set.Items {
			what = fmt.Sprintf("%d files (%s)", q.Set.Items, bytesText(q.Size))
		}
	case q.Set != nil && !slices.ContainsFunc(q.Set.Listed, func(l profile.Listed) bool { return !l.Directory }): // else a file with holes
		what = fmt.Sprintf("directory %s (%s, %d entries)", name, bytesText(q.Size), q.Set.Entries)
	case q.Batch != nil && q.Batch.Count > 1: // the yes is for all of them
		what = fmt.Sprintf("%d files (%s and %d more, %s)", q.Batch.Count, name, q.Batch.Count-1, bytesText(q.Batch.Bytes))
	}
	fmt.Fprintf(&b, "Accept %s from %s? [y/N] ", what, bare(q.Peer.String()))
	return b.String()
}
