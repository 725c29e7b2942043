package main

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"jetsend/internal/config"
	"jetsend/internal/desktop"
	"jetsend/internal/event"
	"jetsend/internal/status"
	"jetsend/internal/transfer"
)

// daemon is a run of `receive` as its service manager and its user's signals
// see it: it reloads the configuration and tells how it does.
type daemon struct {
	a        *app
	cmd      *cobra.Command
	conf     *config.Config
	account  *config.Chosen
	notify   *notifier
	changes  chan transfer.Change
	hangup   <-chan struct{}
	stop     context.CancelFunc // as SIGTERM does
	stopped  context.Context    //nolint:containedctx // ends when the run is told to stop
	terminal bool               // there was one at the start

	online sync.Once
	up     chan struct{} // closed when the run is online for the first time
	mu     sync.Mutex
	state  string        // for status
	drain  time.Duration // in force
	ending bool

	doing   *status.Collector
	ends    endings
	since   time.Time
	desk    *desktop.Notifier // nil: there is none
	holding sync.Mutex        // held while the pause is changed
	lent    chan struct{}     // holds one for each send of another process
	lenders sync.Map          // of each of them, its lender
	control sync.Mutex        // held while the rate is changed, which a reload does, too
	// These belong to mu: what is in force, and what the configuration says of it.
	paused     bool
	notifying  bool
	rate       int64
	limited    bool // the rate was set by a request
	configured int64
}

// farewell is the time for what comes after --drain: sessions and releases come
// to their ends, and the server is told. TimeoutStopSec of the unit is the sum
// of it and the default of --drain.
const farewell = 20 * time.Second

// newDaemon is called before the login, so that no signal is lost.
func (a *app) newDaemon(cmd *cobra.Command, c *config.Config, stop context.CancelFunc) (*daemon, error) {
	account, err := c.Choose(a.selection())
	if err != nil {
		return nil, err
	}
	return &daemon{
		a: a, cmd: cmd, conf: c, account: account, notify: newNotifier(a.Env), stop: stop,
		changes: make(chan transfer.Change), lent: make(chan struct{}, lendings), hangup: a.signals.hangups(), terminal: a.interactive(), up: make(chan struct{}),
		drain: c.Receive.Drain, desk: desktop.New(desktop.Address(a.Env), a.log), notifying: c.Receive.Notify, doing: status.New(a.now), since: a.now().UTC(), rate: int64(c.Receive.LimitRate), configured: int64(c.Receive.LimitRate),
	}, nil
}

// report passes an event on and keeps the manager informed.
func (d *daemon) report(e event.Event) {
	d.a.print.Event(e)
	d.doing.Event(e)
	d.ends.saw(e)
	d.show(e)
	switch e := e.(type) {
	case event.Online:
		d.mu.Lock()
		d.state = "waiting for files as " + e.JID
		text, ending := d.state, d.ending
		d.mu.Unlock()
		if !ending { // a connection that is back while what runs comes to its end
			d.notify.ready(text)
		}
		d.online.Do(func() { close(d.up) })
		d.tellBorrowers(e)
	case event.Warning:
		d.notify.status(e.Text)
	}
}

// stopping tells the manager that the end has begun.
func (d *daemon) stopping() {
	d.mu.Lock()
	d.ending = true
	within := min(d.drain, math.MaxInt64-farewell) + farewell
	d.mu.Unlock()
	d.notify.stopping(within)
}

// attend has run and answer at work until ctx ends; wait waits for their end.
func (d *daemon) attend(ctx context.Context, e endpoint) (wait func()) {
	var tasks sync.WaitGroup
	tasks.Go(func() { d.run(ctx, e.Alive) })
	tasks.Go(func() { d.desk.Run(ctx) })
	tasks.Go(func() { d.deliver(ctx, e) })
	if s := d.listen(e); s != nil { // now, so that it is there for who has read that we are online
		tasks.Go(func() {
			select {
			case <-d.up: // before, nothing could be held
			case <-ctx.Done():
			}
			s.Serve(ctx)
		})
	}
	return tasks.Wait
}

// run sees to signals and to the manager until ctx ends.
func (d *daemon) run(ctx context.Context, alive func(context.Context) error) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() {
		select {
		case <-d.up: // before, there is no run that could be alive
			d.notify.watch(ctx, alive)
		case <-ctx.Done():
		}
	})
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.hangup:
		}
		if d.terminal && !d.a.interactive() {
			d.stop() // the user has closed the terminal
			continue
		}
		select {
		case <-d.up:
			d.reload(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// reload reads the configuration anew. A configuration that cannot be used changes nothing.
func (d *daemon) reload(ctx context.Context) {
	d.notify.reloading()
	if d.a.logFile != nil {
		if err := d.a.logFile.Reopen(); err != nil {
			d.a.print.Event(event.Warning{Text: "log file: " + err.Error()})
		}
	}
	err := d.apply(ctx)
	d.mu.Lock()
	text := d.state
	d.mu.Unlock()
	if err != nil {
		text = "the configuration was not reloaded: " + err.Error()
		d.a.log.Error("configuration not reloaded", "error", err)
		d.a.print.Event(event.Warning{Text: text})
	}
	d.notify.ready(text)
}

// errStopping: the run ended before new options were in force.
var errStopping = errors.New("stopping")

// apply puts a new configuration in force.
func (d *daemon) apply(ctx context.Context) error {
	c, err := d.a.loadConfig(d.cmd)
	if err != nil {
		return err
	}
	o, err := d.a.receiveOptions(d.cmd, c)
	if err != nil {
		return err
	}
	d.asking(&o)
	account, err := c.Choose(d.a.selection())
	if err != nil {
		return err
	}
	d.control.Lock()
	defer d.control.Unlock()
	o.LimitRate = d.keepRate(o.LimitRate)
	applied := make(chan struct{})
	select {
	case d.changes <- transfer.Change{Options: o, Applied: applied}:
		<-applied
		d.mu.Lock()
		d.drain, d.notifying = o.Drain, c.Receive.Notify
		d.mu.Unlock()
	case <-ctx.Done():
		return errStopping
	}
	d.a.log.Info("configuration reloaded", "file", c.File)
	d.a.print.Note("the configuration was reloaded")
	if fixed := fixedChanges(d.conf, c, d.account, account); len(fixed) > 0 {
		text := "changes that need a restart: " + strings.Join(fixed, ", ")
		d.a.log.Warn(text)
		d.a.print.Event(event.Warning{Text: text})
	}
	return nil
}

// fixedChanges names what differs between two configurations and holds from the
// login to the end of a run.
func fixedChanges(was, is *config.Config, wasAccount, isAccount *config.Chosen) (names []string) {
	differ := func(name string, same bool) {
		if !same {
			names = append(names, name)
		}
	}
	s, t := was.Transports.S5B, is.Transports.S5B
	differ("the account", *wasAccount == *isAccount)
	differ("trust", was.Trust == is.Trust)
	differ("receive.dir", was.Receive.Dir == is.Receive.Dir)
	differ("receive.once", was.Receive.Once == is.Receive.Once)
	differ("receive.priority", was.Receive.Priority == is.Receive.Priority)
	differ("transports.s5b.listen_ports", slices.Equal(s.ListenPorts, t.ListenPorts))
	differ("transports.s5b.advertise", slices.Equal(s.Advertise, t.Advertise))
	differ("transports.s5b.interfaces", slices.Equal(s.Interfaces, t.Interfaces))
	differ("transports.s5b.proxies", slices.Equal(s.Proxies, t.Proxies))
	differ("transports.s5b.port_mapping", s.PortMapping == t.PortMapping)
	differ("transports.stun", slices.Equal(was.Transports.STUN, is.Transports.STUN))
	differ("transports.ibb", was.Transports.IBB == is.Transports.IBB)
	return names
}
