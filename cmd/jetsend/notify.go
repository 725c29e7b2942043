package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// notifier tells the service manager how the process does, by the protocol of
// sd_notify(3): datagrams of lines to the socket that NOTIFY_SOCKET names, an
// absolute path or, after an @, a name in the abstract namespace. Without that
// variable it is silent.
type notifier struct {
	socket   string        // "" is nobody
	watchdog time.Duration // the manager's patience; 0: it does not watch us
}

// newNotifier reads what the manager has put into the environment.
func newNotifier(env func(string) string) *notifier {
	n := &notifier{}
	if s := env("NOTIFY_SOCKET"); strings.HasPrefix(s, "/") || strings.HasPrefix(s, "@") {
		n.socket = s
	}
	usec, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64)
	// sd_watchdog_enabled(3): what is meant for another process is not for us.
	if pid := env("WATCHDOG_PID"); err == nil && usec > 0 && n.socket != "" && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// sendTime is how long a notification may wait for a manager that reads none: what
// it is told of must not stand still for that.
const sendTime = time.Second

// send sends one notification. Nobody is there to hear of an error.
func (n *notifier) send(lines ...string) {
	if n.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }() // a datagram is sent or not
	_ = conn.SetWriteDeadline(time.Now().Add(sendTime))
	_, _ = conn.Write([]byte(strings.Join(lines, "\n")))
}

// statusLine is one line for `systemctl status`.
func statusLine(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}

// ready says that the start, or a reload, is complete.
func (n *notifier) ready(text string) { n.send("READY=1", statusLine(text)) }

// status says what is going on.
func (n *notifier) status(text string) { n.send(statusLine(text)) }

// reloading says that a reload begins; ready ends it. The time is what a manager
// of Type=notify-reload compares with the time of its signal.
func (n *notifier) reloading() {
	n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", monotonic().Microseconds()))
}

// stopping says that the end has begun, and for how long it may take: else the
// manager kills the process when its own patience ends (TimeoutStopSec).
func (n *notifier) stopping(within time.Duration) {
	n.send("STOPPING=1", fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", within.Microseconds()), statusLine("stopping"))
}

// watch says, at half of the manager's patience, that the process lives, as
// long as alive finds that it does, until ctx ends.
func (n *notifier) watch(ctx context.Context, alive func(context.Context) error) {
	if n.watchdog == 0 {
		return
	}
	every := n.watchdog / 2
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		look, cancel := context.WithTimeout(ctx, every)
		err := alive(look)
		cancel()
		if err == nil {
			n.send("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
