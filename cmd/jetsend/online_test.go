//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"jetsend/internal/xmpptest"
)

// patience bounds every wait of a script; what is waited for takes milliseconds.
const patience = 60 * time.Second

// users of the private server. The first two see each other online; nurse is
// on nobody's list.
var users = []string{"romeo", "juliet", "nurse"}

// world is what the online commands of one script share.
type world struct {
	server *xmpptest.Server
	tap    *xmpptest.Tap
	relay  *xmpptest.Relay
	procs  map[string]*proc

	notices *growing // what a service manager was told
	desk    *growing // what a desktop was asked to show
}

// proc is a command running in the background.
type proc struct {
	cmd  *exec.Cmd
	out  *growing
	err  *growing
	done chan struct{}
	code int

	terminal *os.File      // where to type; nil without a terminal
	read     chan struct{} // closed when all that it wrote to the terminal was read
}

// growing is output that can be looked at while it is written.
type growing struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (g *growing) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Write(p)
}

func (g *growing) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.String()
}

type worldKey struct{}

// serverVariable is the environment variable that names the server software
// for the scripts: "prosody", which is the default, or "ejabberd".
const serverVariable = "JETSEND_TEST_SERVER"

// onlineCommands are the script commands for real processes over a real
// server:
//
//	prosody [proxyless|strict|strangers|open|invites]   start it (or the software that serverVariable names), with the accounts of users
//	tapped                       put a stanza tap between clients and server
//	run USER CODE ARGS...        run jetsend as a user; it must exit with CODE
//	start NAME USER ARGS...      run it in the background
//	startin NAME USER FILE ARGS... the same with FILE as its standard input
//	startpty NAME USER ARGS...   run it on a terminal, which is its standard output
//	type NAME TEXT               type a line on that terminal
//	press NAME KEYS              the same without Enter; $ENTER and $CTRL_C are keys
//	await NAME REGEXP [COUNT]    wait until its standard output matches
//	awaiterr NAME REGEXP         the same for standard error
//	signal NAME INT|TERM|KILL    send it a signal
//	ends NAME CODE               wait for its end; it must exit with CODE
//	outputs NAME                 make its output that of the last command
//	otherdevice VAR              set VAR to a device in the last output that is not ours
//	capture VAR REGEXP           set VAR to what the group of REGEXP matches in the last output
//	makefile NAME SIZE           make a file of random-looking bytes
//	relay FAULT [N]              a relay on the bytestream's path that does damage
//	sametree DIR DIR             fail unless names, kinds, modes, times, targets and contents are the same
//	partless DIR                 fail if DIR holds anything hidden
//	unreleased DIR               fail if DIR holds anything but partial files
//	empty DIR                    fail if DIR holds anything
func onlineCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"prosody": cmdProsody, "servertoken": cmdServerToken, "envfile": cmdEnvFile, "tapped": cmdTapped, "run": cmdRun, "start": cmdStart, "startin": cmdStartIn, "sametree": cmdSameTree, "await": cmdAwait,
		"awaiterr": cmdAwaitErr, "signal": cmdSignal, "ends": cmdEnds, "outputs": cmdOutputs,
		"makefile": cmdMakefile, "partless": cmdPartless, "reopen": cmdReopen, "otherkey": cmdOtherKey, "empty": cmdEmpty, "unreleased": cmdUnreleased, "otherdevice": cmdOtherDevice, "capture": cmdCapture, "startpty": cmdStartPTY, "type": cmdType, "press": cmdPress, "relay": cmdRelay,
	}
}

// onlineSetup prepares a script for the commands above.
func onlineSetup(env *testscript.Env) error {
	w := &world{procs: map[string]*proc{}}
	env.Values[worldKey{}] = w
	env.Defer(func() {
		for _, p := range w.procs {
			_ = p.cmd.Process.Kill() // fails when it has ended
			<-p.done
		}
	})
	env.Setenv("LONG", strings.Repeat("n", 251)+".txt") // 255 bytes
	env.Setenv("BELL", "a\ab.txt")
	env.Setenv("BIDI", "exe.\u202etxt")
	env.Setenv("ENTER", "\r")
	env.Setenv("CTRL_C", "\x03")
	return nil
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func usage(ts *testscript.TestScript, neg, ok bool, text string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", text)
	}
}

func cmdProsody(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0 || len(args) == 1 && slices.Contains([]string{"proxyless", "strict", "strangers", "open", "invites"}, args[0]), "prosody [proxyless|strict|strangers|open|invites]")
	w := worldOf(ts)
	o := xmpptest.Options{Software: serverSoftware(), NoProxy: len(args) > 0}
	if len(args) > 0 && args[0] == "strict" {
		o.Software, o.Extra = xmpptest.Prosody, `conflict_resolve = "kick_new"`
	}
	o.Registration = len(args) > 0 && (args[0] == "open" || args[0] == "invites")
	o.InvitesOnly = o.Registration && args[0] == "invites"
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	w.server, err = xmpptest.StartServer(ctx, ts.MkAbs("prosody.dir"), o)
	ts.Check(err)
	ts.Defer(func() {
		if err := w.server.Stop(); err != nil {
			ts.Logf("stop server: %v", err)
		}
	})
	if o.Registration { // nobody has an account yet
		ts.Setenv("SERVER", w.server.Addr)
		ts.Setenv("CA", w.server.CAFile)
		return
	}
	for _, u := range users {
		ts.Check(w.server.AddAccount(u, u+"pw"))
	}
	if len(args) == 0 || args[0] != "strangers" {
		ts.Check(w.server.Subscribe("romeo", "juliet"))
	}
	ts.Setenv("SERVER", w.server.Addr)
	ts.Setenv("CA", w.server.CAFile)
}

// cmdEnvFile gives a variable what a file holds.
func cmdEnvFile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "envfile VARIABLE FILE")
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// cmdServerToken has the server make an invitation to an account, and keeps its token.
func cmdServerToken(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "servertoken VARIABLE")
	out, err := exec.Command("prosodyctl", "--root", "--config", filepath.Join(ts.MkAbs("prosody.dir"), "prosody.cfg.lua"), "mod_invites", "generate", "jet.test").CombinedOutput()
	token := regexp.MustCompile(`preauth=([\w-]+)`).FindSubmatch(out)
	if err != nil || token == nil {
		ts.Fatalf("prosodyctl: %v\n%s", err, out)
	}
	ts.Setenv(args[0], string(token[1]))
}

func cmdTapped(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "tapped")
	w := worldOf(ts)
	var err error
	w.tap, err = xmpptest.NewTap(w.server, xmpptest.Pass)
	ts.Check(err)
	ts.Defer(w.tap.Close)
	ts.Setenv("SERVER", w.tap.Addr)
}

// stranger is a user whose account is not in the environment: it has to be typed.
const stranger = "stranger"

// as gives the environment of a user.
func as(ts *testscript.TestScript, user string) []string {
	server := []string{"JETSEND_SERVER=" + ts.Getenv("SERVER"), "JETSEND_TLS_CA_FILE=" + ts.Getenv("CA")}
	if user == stranger {
		return server
	}
	password := ts.Getenv("PASSWORD_" + user)
	if password == "" {
		password = user + "pw"
	}
	state := ts.Getenv("STATE_" + user)
	if state == "" {
		state = ts.MkAbs("state-" + user)
	}
	return append(server,
		"JETSEND_JID="+user+"@jet.test", "JETSEND_PASSWORD="+password,
		"JETSEND_STATE_DIR="+state,
		"JETSEND_CONFIG="+ts.Getenv("CONFIG_"+user),
	)
}

func setUser(ts *testscript.TestScript, user string) {
	for _, kv := range as(ts, user) {
		k, v, _ := strings.Cut(kv, "=")
		ts.Setenv(k, v)
	}
}

func cmdRun(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 3, "run USER CODE ARGS...")
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	setUser(ts, args[0])
	err = ts.Exec(programOf(ts, args[0]), args[2:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("run jetsend: %v", err)
	}
	got := 0
	if exit != nil {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("jetsend exited with %d, want %d", got, want)
	}
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 3, "start NAME USER ARGS...")
	p := command(ts, args[1], args[2:])
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	ts.Check(p.cmd.Start())
	follow(ts, args[0], p)
}

// command prepares a process of its own for a user.
func command(ts *testscript.TestScript, user string, args []string) *proc {
	cmd := exec.Command(programOf(ts, user), args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append([]string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.Getenv("TMPDIR"), "TERM=xterm"}, as(ts, user)...)
	cmd.Env = append(append(cmd.Env, managerVariables(ts)...), filesystemVariable+"="+ts.Getenv(filesystemVariable))
	return &proc{cmd: cmd, out: &growing{}, err: &growing{}, done: make(chan struct{})}
}

// follow takes note of a process's end, which ends or the script's end waits for.
func follow(ts *testscript.TestScript, name string, p *proc) {
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code tells
		if p.read != nil {
			<-p.read
		}
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	worldOf(ts).procs[name] = p
}

// cmdStartPTY runs jetsend on a terminal of its own.
func cmdStartPTY(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 3, "startpty NAME USER ARGS...")
	startOnTerminal(ts, args[0], command(ts, args[1], args[2:]))
}

// startOnTerminal starts a process on a terminal of its own.
func startOnTerminal(ts *testscript.TestScript, name string, p *proc) {
	control, terminal, err := openPTY()
	ts.Check(err)
	ts.Defer(func() { _ = control.Close() })
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = terminal, terminal, terminal
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p.terminal = control
	ts.Check(errors.Join(p.cmd.Start(), terminal.Close()))
	p.read = make(chan struct{})
	go func() { // ends with the process, or when control is closed
		defer close(p.read)
		_, _ = io.Copy(p.out, control)
	}()
	follow(ts, name, p)
}

func cmdType(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "type NAME TEXT")
	_, err := io.WriteString(procOf(ts, args[0]).terminal, args[1]+"\r")
	ts.Check(err)
}

func cmdPress(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "press NAME KEYS")
	_, err := io.WriteString(procOf(ts, args[0]).terminal, args[1])
	ts.Check(err)
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2 || len(args) == 3, "await NAME REGEXP [COUNT]")
	n := 1
	if len(args) == 3 {
		var err error
		n, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	p := procOf(ts, args[0])
	await(ts, p, p.out, args[1], n)
}

func cmdAwaitErr(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "awaiterr NAME REGEXP")
	p := procOf(ts, args[0])
	await(ts, p, p.err, args[1], 1)
}

func procOf(ts *testscript.TestScript, name string) *proc {
	p := worldOf(ts).procs[name]
	if p == nil {
		ts.Fatalf("no process %q", name)
	}
	return p
}

func await(ts *testscript.TestScript, p *proc, g *growing, pattern string, n int) {
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	deadline := time.After(patience)
	for {
		ended := false
		select {
		case <-p.done:
			ended = true
		default:
		}
		if len(re.FindAllString(g.String(), -1)) >= n {
			return
		}
		if ended {
			ts.Fatalf("it ended with %d before %q:\n%s%s", p.code, pattern, p.out, p.err)
		}
		select {
		case <-deadline:
			ts.Fatalf("waited in vain for %q:\n%s%s", pattern, p.out, p.err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "signal NAME INT|TERM|KILL|HUP|STOP|CONT")
	sig, ok := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}[args[1]]
	usage(ts, false, ok, "signal NAME INT|TERM|KILL|HUP|STOP|CONT")
	ts.Check(procOf(ts, args[0]).cmd.Process.Signal(sig))
}

func cmdEnds(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "ends NAME CODE")
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	p := procOf(ts, args[0])
	select {
	case <-p.done:
	case <-time.After(patience):
		ts.Fatalf("%s does not end:\n%s%s", args[0], p.out, p.err)
	}
	if p.code != want {
		ts.Fatalf("%s exited with %d, want %d:\n%s%s", args[0], p.code, want, p.out, p.err)
	}
}

// cmdOutputs replays what a background command wrote, so that the script's own
// stdout and stderr commands can look at it.
func cmdOutputs(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "outputs NAME")
	p := procOf(ts, args[0])
	_, err := io.WriteString(ts.Stdout(), p.out.String())
	ts.Check(err)
	_, err = io.WriteString(ts.Stderr(), p.err.String())
	ts.Check(err)
}

func cmdMakefile(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "makefile NAME SIZE")
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = io.CopyN(f, &noise{x: uint64(size) + 88172645463325252}, size)
	ts.Check(errors.Join(err, f.Close()))
}

// noise is xorshift64: nothing that a zero block or a repeated one could pass for.
type noise struct{ x uint64 }

func (n *noise) Read(p []byte) (int, error) {
	for i := range p {
		n.x ^= n.x << 13
		n.x ^= n.x >> 7
		n.x ^= n.x << 17
		p[i] = byte(n.x >> 24)
	}
	return len(p), nil
}

func cmdPartless(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "partless DIR")
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			ts.Fatalf("%s holds %s", args[0], e.Name())
		}
	}
}

// cmdRelay puts a relay in front of juliet's listener and nothing reachable
// behind romeo's candidate, so that every byte goes through the relay; if the server
// has a proxy, then only as long as the machine is quick.
func cmdRelay(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 1, "relay FAULT [OFFSET]")
	w := worldOf(ts)
	if w.relay != nil {
		w.relay.Close()
	}
	port := freePort(ts)
	var err error
	w.relay, err = xmpptest.NewRelay("127.0.0.1:"+port, xmpptest.Both(damage(ts, args)...))
	ts.Check(err)
	ts.Defer(w.relay.Close)
	config := func(user, text string) {
		path := ts.MkAbs("relay-" + user + ".yaml")
		ts.Check(os.WriteFile(path, []byte(text), 0o600))
		ts.Setenv("CONFIG_"+user, path)
	}
	config("juliet", fmt.Sprintf("transports: {s5b: {listen_ports: [%s], advertise: ['%s']}}\n", port, w.relay.Addr))
	config("romeo", "transports: {s5b: {advertise: ['127.0.0.1:1']}}\n")
}

// damage reads the damage that a script asks for. A negative offset counts from
// the end of SIZE + 16 bytes.
func damage(ts *testscript.TestScript, args []string) []xmpptest.Fault {
	offset := int64(0)
	if len(args) > 1 {
		var err error
		offset, err = strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
	}
	switch args[0] {
	case "none":
		return nil
	case "flip":
		return []xmpptest.Fault{xmpptest.FlipBit(offset, 0)}
	case "droplast":
		return []xmpptest.Fault{xmpptest.DropLast(int(offset))}
	case "append":
		return []xmpptest.Fault{xmpptest.Append(make([]byte, offset))}
	case "cut":
		return []xmpptest.Fault{xmpptest.CutAt(offset)}
	}
	ts.Fatalf("no fault %q", args[0])
	return nil
}

func freePort(ts *testscript.TestScript) string {
	port, err := xmpptest.FreePort()
	ts.Check(err)
	return strconv.Itoa(port)
}

// longVariable is the environment variable that says, when it is not empty, that scripts may
// take minutes.
const longVariable = "JETSEND_TEST_LONG"

// onlineCondition tells a script which server it runs on, [prosody] or
// [ejabberd], whether it may [mount], whether there is [history], and whether it may take [long].
func onlineCondition(name string) (bool, error) {
	switch name {
	case "mount":
		return mayMount()
	case "history":
		return hasHistory(), nil
	case "long":
		return os.Getenv(longVariable) != "", nil
	}
	switch s := xmpptest.Software(name); s {
	case xmpptest.Prosody:
		return serverSoftware() != xmpptest.Ejabberd, nil
	case xmpptest.ProsodySASL2, xmpptest.Ejabberd:
		return s == serverSoftware(), nil
	}
	return false, fmt.Errorf("no condition %q", name)
}

// serverSoftware is what the environment names.
func serverSoftware() xmpptest.Software {
	return cmp.Or(xmpptest.Software(os.Getenv(serverVariable)), xmpptest.Prosody)
}

// TestOnline runs the scripts that need a server.
func TestOnline(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	testscript.Run(t, onlineParams(testscript.Params{Dir: "testdata/online"}))
}

// onlineParams are those of scripts that need a server.
func onlineParams(p testscript.Params) testscript.Params {
	p.Cmds = scriptCommands()
	maps.Copy(p.Cmds, onlineCommands())
	maps.Copy(p.Cmds, resumeCommands())
	maps.Copy(p.Cmds, daemonCommands())
	maps.Copy(p.Cmds, olderCommands())
	p.RequireExplicitExec, p.RequireUniqueNames, p.Condition = true, true, onlineCondition
	p.Setup = func(e *testscript.Env) error {
		for _, setup := range append(scriptSetups(), onlineSetup) {
			if err := setup(e); err != nil {
				return err
			}
		}
		return nil
	}
	return p
}

func cmdUnreleased(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "unreleased DIR")
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".jetsend-") || !strings.HasSuffix(e.Name(), ".part") && !strings.HasSuffix(e.Name(), ".set") {
			ts.Fatalf("%s holds %s", args[0], e.Name())
		}
	}
}

func cmdEmpty(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "empty DIR")
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(entries) > 0 {
		ts.Fatalf("%s holds %v", args[0], entries)
	}
}

func cmdOtherDevice(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "otherdevice VAR")
	for _, line := range strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n") {
		var d deviceRecord
		ts.Check(json.Unmarshal([]byte(line), &d))
		if d.ID != 0 && d.Trust != trustOwn {
			ts.Setenv(args[0], strconv.FormatUint(uint64(d.ID), 10))
			return
		}
	}
	ts.Fatalf("no other device")
}

func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "capture VAR REGEXP")
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("no match for %q", args[1])
	}
	ts.Setenv(args[0], m[1])
}
