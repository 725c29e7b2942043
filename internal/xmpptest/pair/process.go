package pair

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"sync"

	"jetsend/internal/xmpptest/child"
)

// Account is a user with a machine of its own: everything that a jetsend process
// of that user is run with. It gets nothing of the caller's environment.
type Account struct {
	JID, Password string
	Home          string // an existing directory; the state directory is made below it
	Server        string // host:port
	CAFile        string
	Program, Path string // the jetsend and the PATH to run it with
}

// Process is a jetsend process with `--json`. Its methods may be called from any
// goroutine and again after it is gone. Its starter ends it.
type Process struct {
	*child.Process
	cmd    *exec.Cmd
	events *events
	stderr buffer
}

// Start runs jetsend. config is the configuration file, "" for none. watch may be
// nil; otherwise it is called with every event as it is read, in order.
func (a Account) Start(config string, watch func(Event), args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(a.Program, args...), events: newEvents(watch)}
	p.cmd.Dir = a.Home
	p.cmd.Env = []string{
		"PATH=" + a.Path,
		"HOME=" + a.Home,
		"XDG_CONFIG_HOME=" + filepath.Join(a.Home, "config"),
		"JETSEND_CONFIG=" + config,
		"JETSEND_JID=" + a.JID,
		"JETSEND_PASSWORD=" + a.Password,
		"JETSEND_SERVER=" + a.Server,
		"JETSEND_TLS_CA_FILE=" + a.CAFile,
		"JETSEND_STATE_DIR=" + filepath.Join(a.Home, "state"),
	}
	p.cmd.Stdout, p.cmd.Stderr = p.events, &p.stderr
	var err error
	p.Process, err = child.Start(p.cmd)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Online is closed at the first `online` event.
func (p *Process) Online() <-chan struct{} { return p.events.online }

// Events returns what the process has said so far.
func (p *Process) Events() []Event { return p.events.all() }

// Stderr returns what the process has told people so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Args are the arguments that it was started with.
func (p *Process) Args() []string { return p.cmd.Args[1:] }

// Gone reports whether the process has ended.
func (p *Process) Gone() bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// ExitCode waits for the end of the process and returns its exit code, -1 when a
// signal killed it.
func (p *Process) ExitCode() int {
	<-p.Done()
	return p.cmd.ProcessState.ExitCode()
}

// End waits for the end of the process and describes it.
func (p *Process) End() End {
	err := p.Wait()
	return End{Events: p.Events(), Stderr: p.Stderr(), Err: err, Begun: p.Begun(), Took: p.Took(), MaxRSS: maxRSS(p.cmd.ProcessState)}
}

// halt ends the process if it still runs and waits for it.
func (p *Process) halt() {
	if !p.Gone() {
		_ = p.Stop(stopTimeout) // killed at the latest
	}
}

// buffer is output that can be looked at while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
