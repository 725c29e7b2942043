package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/dialect"
	"jetsend/internal/exclude"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/route"
	"jetsend/internal/shortname"
	"jetsend/internal/source"
	"jetsend/internal/transfer"
)

// unattendedAnswer is how long `send` waits for a yes or no when nobody watches
// it: a script must come to an end.
const unattendedAnswer = 5 * time.Minute

const (
	sendHelp = sendWhat + "\n\n" + sendHow

	sendBrief = `Send one or more files or directories to CONTACT: an address, an address with a
resource (that client and no other), or a short name. - is standard input.

They are encrypted for the OMEMO devices of the contact, who must be online, or come
online within --wait, with a client that takes encrypted files, such as "jetsend
receive". The command ends with 0 when a sealed receipt says that all has arrived; other
clients only say that they are done. What is interrupted is resumed by the same command.`

	sendUsual = "dry-run exclude from-command insecure-plaintext limit-rate name no-direct queue to until via-daemon wait"
)

// sendWhat is about what is sent and how it is protected, sendHow about when and how it is told.
const sendWhat = `Send one or more files to CONTACT: an address such as romeo@montague.example,
an address with a resource (that client and no other), or a short name: from the
contacts: section of the configuration, or from the account's list of contacts. Your
own address sends to your other devices.

Several contacts are named by --to, each for itself, and all arguments are files then.
All who are online get them at the same time, and what they all wait for is read
once, as long as the contacts are within 32 MiB of each other; who falls behind holds
the others up for a fifth of a second at most. Each has events and an end of its own;
the exit code is the gravest one.

FILE may be a directory, which arrives as one, with its files, directories, links
inside it, permission bits and times; other clients than jetsend get a .tar. --exclude
and --include say by patterns, as in .gitignore, what of it is sent; the last one that
matches decides, and nothing below a directory that is left out is looked at. FILE
may be - for standard input, which is kept in the state directory until it has
arrived; an empty one is an error unless --allow-empty is given: most often the
program before the pipe has failed. A file keeps its time, and its permission bits as
far as the receiver's umask leaves them. To another jetsend, several files and directories
go together, in one session; to other clients up to three files at a time, and with
--limit-rate one after the other.

--from-command sends what a command writes, and only if it ends with 0: else nothing
is offered, and the exit code is 12. The command is what stands behind --, word for
word. No shell looks at it, its standard input is empty, and its errors are shown. For
a pipe name a shell that minds every part of it, as in the examples. The rest is as
for -: the name, the copy in the state directory, "jetsend resume".

Files are encrypted for the OMEMO devices of the contact before they leave this
machine. Towards another jetsend the command ends with 0 only when a sealed
receipt says that every file is verified and on its disk. Other clients, such as
Dino, are sent to with the name visible to the servers, and only say that they are
done; --require-hidden-name and --require-verified-receipt refuse them. --encryption
asks for one form of offer: jet (XEP-0396), jet-draft (the draft of 2017),
encrypted-file (the proposal of 2015, and Conversations before 2.5.8).

--insecure-plaintext does not encrypt at all, whatever the contact's client could do.
It is for clients that have no encryption, such as Gajim, Psi and Libervia: the
servers, proxies and everybody on the way can read and change the files. Nothing
else leads to an unencrypted file, and it cannot be set in the configuration.

When the path breaks the command resumes the transfer where it stopped, as --retries
and --retry-for allow. A send that was interrupted all the same is resumed by
"jetsend resume", or by the same command again: same file or directory, unchanged,
to the same contact. Data from standard input are resumed by "jetsend resume" only.
To other clients a retry starts over. While another process is at the
transfer, which may be the "jetsend receive" of this account, the same command ends
with 12; --no-resume sends the file once more.`

const sendHow = `--queue writes the transfer down and returns: a running "jetsend receive" of the account
sends it when the contact is online, and "jetsend deliver" does so once. --copy has a
copy of the files sent as they are now; standard input is always copied. It is given
up after --until. "jetsend transfers" lists what waits, and why; "jetsend transfers wait
ID" ends with the exit code of the transfer.

The contact must be online with a client that takes encrypted files, such as
"jetsend receive". The first such client that appears within --wait is used. When
all clients that are online have answered that they take none, send ends at once
with 7; with another --wait than the usual one it says so and waits.

--via-daemon has the running "jetsend receive" of the account send, on its own session: no
login, no password. All else is as ever, but that this command ends with 11 when the
receive ends. Without one, and for what it cannot do, send logs in itself.

--on-complete PATH runs an executable once at the end of each file and directory,
without arguments, where send was run. Its environment has JETSEND_EVENT (sent, failed),
JETSEND_PATH (of the file; empty for an input), JETSEND_KIND (file, directory, input),
JETSEND_NAME, JETSEND_TO (address), JETSEND_PEER (with resource), JETSEND_TRANSFER,
JETSEND_CODE (the exit code that it would be alone), and of what was sent JETSEND_SIZE,
JETSEND_SHA256 (with --checksum) and JETSEND_VERIFIED_BY_PEER, of what was not
JETSEND_REASON and JETSEND_RESUMABLE; its standard input has the event as JSON. It has 15
minutes. Its exit status is told, and changes nothing. It is not run when send fails
before there is a transfer, as when the contact is not online.

--dry-run does all that comes before the offer, and writes to standard output what
would be sent to whom and how; of a directory that was sent whole before, also what has
become of it since. The contact notices nothing but a question what its
client can do, and the exit code is that of a send that ends before the answer.
"jetsend doctor CONTACT" says more.`

func newSendCommand(a *app) *cobra.Command {
	var o sendFlags
	cmd := &cobra.Command{
		Use:     "send FILE... CONTACT",
		GroupID: groupSend,
		Short:   "Send files to a contact",
		Long:    sendHelp + "\n\n" + exitStatus(append(transferCodes(), exitcode.Offline, exitcode.Incapable)...),
		Example: examples(
			"jetsend send balcony.jpg romeo@montague.example",
			"jetsend send --wait 1h --limit-rate 2MB *.iso nas",
			"jetsend send ~/Pictures/verona romeo",
			"jetsend send balcony.jpg --to romeo --to juliet@capulet.example",
			"gpg -d verona.gpg | jetsend send --name verona.txt - romeo",
			"jetsend send --name verona.sql --from-command nas -- pg_dump verona",
			"jetsend send --name verona.zst --from-command nas -- \\\n      bash -o pipefail -c 'pg_dump verona | zstd'",
			"jetsend send --queue report.pdf romeo",
			"jetsend --json send report.pdf romeo | jq -r .event",
			"jetsend send --dry-run report.pdf romeo",
		),
		Args:              func(cmd *cobra.Command, args []string) error { return sendArgs(cmd, args, o) },
		ValidArgsFunction: a.completeSend,
		RunE:              func(cmd *cobra.Command, args []string) error { return runSend(cmd, a, args, o) },
	}
	d := config.Default().Send
	k := keyed{cmd.Flags(), "send"}
	k.duration("wait", d.Wait, "how long the contact may take to be online")
	k.duration("answer-timeout", 0, "how long the contact may take to accept a new file; 0: for ever (default: for ever on a terminal, 5m without one)")
	k.choice("cipher", d.Cipher, "the cipher for the file", "auto", "aes-256-gcm", "aes-128-gcm")
	k.choice("encryption", d.Encryption, "how the offer is made", encryptions()...)
	cmd.Flags().Bool(insecureFlag, false, "do NOT encrypt: for clients that have no encryption")
	k.bool("require-hidden-name", false, "refuse clients that need the name where the servers see it")
	k.bool("require-verified-receipt", false, "refuse clients that cannot prove that the file arrived")
	k.transport()
	k.bool("no-direct", false, "make no direct connection to the contact")
	k.portMapping()
	k.rate("limit-rate", 0, "send no faster than this per second, all files together, like 2MB or 500KiB")
	k.retry()
	k.bool("no-resume", false, "start over, even when the same send was interrupted before or is running")
	k.bool("via-daemon", false, "have the running receive of the account send, where it can, and do without a login")
	k.string("name", "", "tell the contact this `NAME` instead of the file's own (- is stdin)")
	k.patterns()
	k.size("max-spool", 0, "take no more than this from standard input, like 20GB; 0: what fits")
	k.string("description", "", "a line of `TEXT` for the receiver")
	k.value(&filePath{home: a.home, none: true}, "on-complete", "run the executable `PATH` at the end of each file, sent or failed; empty: none")
	k.bool("checksum", false, "compute SHA-256 at both ends and show it")
	k.bool("all-or-nothing", false, "let nothing of a directory arrive unless all of it does")
	cmd.Flags().BoolVar(&o.command, fromCommand, false, "send what the command behind -- writes, if it ends with 0")
	cmd.Flags().BoolVar(&o.empty, "allow-empty", false, "send standard input, or what a command writes, even when it is empty")
	cmd.Flags().StringArrayVar(&o.to, toFlag, nil, "send to `CONTACT`, and let all arguments be files; can be given again")
	// A flag that is there: the error is for one that is not.
	_ = cmd.RegisterFlagCompletionFunc(toFlag, func(cmd *cobra.Command, _ []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return offer(a.contactWords(cmd, toComplete), toComplete)
	})
	o.queueFlags.flags(cmd)
	cmd.Flags().BoolVarP(&o.dry, "dry-run", "n", false, "offer nothing, only show what would be sent to whom and how")
	brief(cmd, sendBrief, sendUsual, "jetsend help sending, sending-later, sending-flags; jetsend-send(1)")
	return cmd
}

// sendFlags are those that are no keys of the configuration.
type sendFlags struct {
	dry, command, empty bool
	queueFlags
	to []string // the contacts, when they are not named by the last argument
}

// encryptions are the words of --encryption.
func encryptions() []string { return []string{"auto", "jet", "jet-draft", "encrypted-file"} }

// sendArgs wants at least one file, or a command, and a contact.
func sendArgs(cmd *cobra.Command, args []string, flags sendFlags) error {
	switch {
	case flags.command:
		return commandArgs(cmd, args, flags.to != nil)
	case len(args) == 0 && flags.to != nil:
		return usagef("no file given").hint("usage: jetsend send FILE... --to CONTACT [--to CONTACT]...")
	case len(args) == 0:
		return usagef("no file and no contact given").hint("usage: %s", cmd.UseLine())
	case len(args) == 1 && flags.to == nil:
		return usagef("a file or the contact is missing").hint("usage: %s", cmd.UseLine())
	}
	return nil
}

// split tells the files, the contacts and the command of the arguments.
func (f sendFlags) split(cmd *cobra.Command, args []string) (files, whom, command []string) {
	if f.command {
		n := cmd.ArgsLenAtDash()
		args, command = args[:n], args[n:]
	}
	if f.to != nil {
		return args, f.to, command
	}
	return args[:len(args)-1], args[len(args)-1:], command
}

// runSend checks usage, then configuration, then the local files, and only
// then goes online.
func runSend(cmd *cobra.Command, a *app, args []string, flags sendFlags) error {
	files, whom, command := flags.split(cmd, args)
	c, to, o, err := a.prepareSend(cmd, whom, files)
	if err != nil {
		return err
	}
	o.AllowEmpty = flags.empty
	if err := flags.check(cmd); err != nil {
		return err
	}
	if flags.command {
		p, err := a.newProducer(cmd.Context(), command)
		if err != nil {
			return err
		}
		defer p.Close()
		o.Files = []source.Named{{Input: p, Name: c.Send.Name}}
	}
	if done, err := a.handOver(cmd, c, to, whom, o, flags); done {
		return err
	}
	h, err := a.hook("--on-complete", c.Send.OnComplete)
	if err != nil {
		return err
	}
	told := a.completions(cmd.Context(), c, h, o.Files)
	defer told.wait()
	dial := func(d *dialOptions) {
		d.Gather = &o.Route
		told.report(d)
	}
	return a.onlineAs(cmd.Context(), c, dial, func(ctx context.Context, e endpoint) error {
		if err := a.settleAll(ctx, c, e, to, whom); err != nil {
			return err
		}
		if isTerminal(a.Stdin) && slices.Contains(files, stdinArg) {
			a.print.Note("reading from the terminal, up to Ctrl-D")
		}
		return a.sendAll(ctx, e, o, to, flags.dry, func(i int, err error) error {
			if flags.command { // what was not begun would be run anew
				return err
			}
			return withRest(cmd, err, whom[i])
		})
	})
}

// handOver leaves a send to another process, which is done or not: to a later one, or to the
// receive that is running.
func (a *app) handOver(cmd *cobra.Command, c *config.Config, to []target, whom []string, o transfer.SendOptions, flags sendFlags) (done bool, err error) {
	switch {
	case flags.queue:
		return true, a.enqueue(cmd, c, to, whom, o, &flags.queueFlags)
	case c.Send.ViaDaemon && !flags.dry && len(to) == 1:
		return a.sendVia(cmd, c, o, to[0], whom)
	}
	return false, nil
}

// findTargets reads the configuration and finds whom the words mean.
func (a *app) findTargets(cmd *cobra.Command, whom, files []string) (c *config.Config, to []target, err error) {
	c, err = a.loadConfig(cmd)
	if err != nil {
		return nil, nil, err
	}
	positional := !cmd.Flags().Changed(toFlag)
	if positional {
		if err := swapped(cmd, c, append(slices.Clone(files), whom...)); err != nil {
			return nil, nil, err
		}
	}
	for _, who := range whom {
		t, err := a.targetOf(c, who)
		if positional && (err != nil || t.jid.IsZero()) && who != "" && exists(who) { // not a name that only the list of contacts may know
			return nil, nil, usagef("the contact is missing: %q is a file", clean.Text(who)).hint("run `%s CONTACT`", typed(cmd, append(slices.Clone(files), who)...))
		}
		if err != nil {
			return nil, nil, err
		}
		to = append(to, t)
	}
	return c, to, contactAmongFiles(cmd, c, files, whom)
}

// withRest adds the command for what a run that was stopped had not come to.
func withRest(cmd *cobra.Command, err error, who string) error {
	var f *fault.NotBegunError
	if !errors.As(err, &f) {
		return err
	}
	var args []string
	for _, src := range f.Sources {
		args = append(args, cmp.Or(src.Path, stdinArg))
	}
	f.Hints = append(f.Hints, "run `"+typed(cmd, append(args, who)...)+"` to send the files that were not begun")
	return err
}

// sendOptions turns the merged configuration into what the transfer needs.
func (a *app) sendOptions(c *config.Config, files []string) (o transfer.SendOptions, err error) {
	s := c.Send
	o = transfer.SendOptions{
		Wait: s.Wait, Patient: s.Wait != config.Default().Send.Wait, LimitRate: int64(s.LimitRate), Description: s.Description,
		Route: route.Options{Transports: c.Transports.Order, NoDirect: s.NoDirect},
		Retry: transfer.RetryOptions{Retries: s.Retries, For: s.RetryFor}, NoResume: s.NoResume,
		MaxSpool: int64(s.MaxSpool), HiddenName: s.RequireHiddenName, VerifiedReceipt: s.RequireVerifiedReceipt, Checksum: s.Checksum, AllOrNothing: s.AllOrNothing,
	}
	if s.Encryption != "auto" {
		o.Encryption = dialect.Choice(s.Encryption)
	}
	if s.Cipher != "auto" {
		o.Cipher = s.Cipher
	}
	o.AnswerTimeout = a.answerTimeout(s)
	if s.Name != "" {
		if len(files) > 1 {
			return o, usagef("--name is for one file, %d were given", len(files))
		}
		if strings.ContainsAny(s.Name, `/\`) || s.Name == "." || s.Name == ".." {
			return o, usagef("--name %q: a name has no directories in it", s.Name)
		}
	}
	left, err := exclude.Parse(s.Exclude...)
	if err != nil {
		return o, usagef("--exclude: %v", err)
	}
	for _, f := range files {
		src := source.Named{Path: f, Name: s.Name, Exclude: left}
		if f == stdinArg {
			src = source.Named{Input: a.Stdin, Name: s.Name}
		}
		o.Files = append(o.Files, src)
	}
	return o, nil
}

// checkFileArgs refuses what can be told from the arguments alone.
func checkFileArgs(files []string) error {
	inputs := 0
	for _, f := range files {
		switch f {
		case "":
			return usagef("an empty file name")
		case stdinArg:
			inputs++
		}
	}
	if inputs > 1 {
		return usagef("standard input can be sent once, - was given %d times", inputs).hint("name a file called - as ./-")
	}
	return nil
}

// prepareSend is what can be known to be wrong before anything is begun.
func (a *app) prepareSend(cmd *cobra.Command, whom, files []string) (c *config.Config, to []target, o transfer.SendOptions, err error) {
	if err := checkFileArgs(files); err != nil {
		return nil, nil, o, err
	}
	if slices.Contains(files, stdinArg) {
		if err := a.claim(theData, stdinArg); err != nil {
			return nil, nil, o, err
		}
	}
	if c, to, err = a.findTargets(cmd, whom, files); err != nil {
		return nil, nil, o, err
	}
	if o, err = a.sendOptions(c, files); err == nil {
		err = insecureSend(cmd, c.Send, &o)
	}
	if err == nil {
		_, err = c.Choose(a.selection())
	}
	if err != nil {
		return nil, nil, o, err
	}
	return c, to, o, checkReadable(files)
}

// checkReadable opens every file once, so that a typing error does not cost a
// login and a question to the contact. Pipes and devices are not opened.
func checkReadable(files []string) error {
	var errs []error
	var hints []string
	for _, f := range files {
		if f == stdinArg {
			continue
		}
		err := readable(f)
		if errors.Is(err, errNotRegular) && hints == nil {
			hints = []string{"to send what can be read from it, run `jetsend send --name NAME - CONTACT < " + clean.Argument(clean.Text(f)) + "`"}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f, err))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &fault.Failure{Code: exitcode.LocalFile, Reason: "nothing was sent", Err: errors.Join(errs...), Hints: hints}
}

// readable reports why a file cannot be sent.
func readable(file string) error {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = errNotRegular
	}
	if err == nil {
		err = checkOpens(file, info)
	}
	var failed *fs.PathError
	if errors.As(err, &failed) { // which call it was is nobody's business
		err = failed.Err
	}
	return err
}

// errNotRegular: not a file whose size says how much there is to read.
var errNotRegular = errors.New("not a regular file")

// checkOpens opens a file or a directory. The files of /proc say that they are
// regular and empty, and are not: they would arrive without a byte.
func checkOpens(path string, info fs.FileInfo) (err error) {
	f, err := openWithoutWaiting(path) // some of them wait for what to say
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info.IsDir() || info.Size() > 0 {
		return nil
	}
	n, err := f.ReadAt(make([]byte, 1), 0)
	switch {
	case n > 0:
		return errNotRegular
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// swapped recognises `send CONTACT FILE` and gives the command that was meant.
func swapped(cmd *cobra.Command, c *config.Config, args []string) error {
	first, last := args[0], args[len(args)-1]
	if _, err := resolveContact(c, last); err == nil && !exists(last) {
		return nil
	}
	if exists(first) || !exists(last) {
		return nil
	}
	if _, err := resolveContact(c, first); err != nil {
		return nil
	}
	return usagef("the arguments are the wrong way round: first the files, then the contact").
		hint("run `%s`", typed(cmd, append(slices.Clone(args[1:]), first)...))
}

// contactAmongFiles recognises `send FILE CONTACT CONTACT`, and a contact beside --to.
func contactAmongFiles(cmd *cobra.Command, c *config.Config, files, whom []string) error {
	for i, f := range files {
		if f == stdinArg || exists(f) || len(files) == 1 && !cmd.Flags().Changed(toFlag) {
			continue
		}
		if _, err := resolveContact(c, f); err != nil {
			continue
		}
		rest := slices.Delete(slices.Clone(files), i, i+1)
		if len(rest) == 0 {
			rest = []string{"FILE"}
		}
		return usagef("%s is a contact and no file: to send to several contacts, name each with --%s", clean.Text(f), toFlag).
			hint("run `%s`", typedTo(cmd, rest, append(slices.Clone(whom), f)))
	}
	return nil
}

// typedTo is the command with the flags that were given, for other files and contacts.
func typedTo(cmd *cobra.Command, files, whom []string) string {
	line := typed(cmd, files...)
	for _, who := range whom {
		line += " --" + toFlag + " " + clean.Argument(who)
	}
	return line
}

// typed is the command with the flags that were given, but for the contacts, and other
// arguments.
func typed(cmd *cobra.Command, args ...string) string {
	line := []string{"jetsend", "send"}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != toFlag {
			line = append(line, flagText(f)...)
		}
	})
	for _, arg := range args {
		line = append(line, clean.Argument(arg))
	}
	return strings.Join(line, " ")
}

// flagText writes a flag that was given as it can be typed again.
func flagText(f *pflag.Flag) []string {
	if _, ok := f.Value.(patterns); ok { // another flag has its values
		return nil
	}
	if values, ok := f.Value.(pflag.SliceValue); ok {
		var out []string
		for _, v := range values.GetSlice() {
			out = append(out, "--"+f.Name+"="+clean.Argument(v))
		}
		return out
	}
	if f.Value.Type() == "bool" && f.Value.String() == "true" {
		return []string{"--" + f.Name}
	}
	return []string{"--" + f.Name + "=" + clean.Argument(f.Value.String())}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// resolveContact finds the address of CONTACT offline: a name of the configuration or
// of the state, or an address with an @.
func resolveContact(c *config.Config, text string) (jid.JID, error) {
	if text == "" {
		return jid.JID{}, usagef("the contact is empty")
	}
	if j, ok := c.Address(text); ok {
		return j, nil
	}
	if key, err := shortname.Key(text); err == nil {
		if j, ok := c.Address(key); ok {
			return j, nil
		}
	}
	if !strings.Contains(text, "@") {
		return jid.JID{}, usagef("%q is neither an address (name@domain) nor the name of a contact", clean.Text(text)).
			hint("run `jetsend contacts add name@domain %[1]s`, or add it to %[2]s: `contacts: {%[1]s: name@domain}`", clean.Argument(clean.Text(text)), orDefault(c.File, "the configuration"))
	}
	j, err := jid.ParseTyped(text)
	if err != nil || j.Local() == "" {
		return jid.JID{}, usagef("%q is not an XMPP address", clean.Text(text)).hint("an address is name@domain, or name@domain/resource")
	}
	return j, nil
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// answerTimeout is how long a contact may take to accept.
func (a *app) answerTimeout(s config.Send) time.Duration {
	switch {
	case s.AnswerTimeout != nil:
		return *s.AnswerTimeout
	case !a.interactive():
		return unattendedAnswer
	}
	return 0
}
