package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"jetsend/internal/xmpptest"
)

// role is what a process does for its account. Each has a configuration of its
// own, because two processes cannot listen on one port.
type role string

const (
	command role = "command" // send or resume
	daemon  role = "daemon"  // receive
)

// nowhere is an address that nobody answers on, for those who shall be dialled by
// nobody.
const nowhere = "127.0.0.1:1"

// headroom is how much faster than the round's rate the relays of the path are:
// the rate of the commands counts, and where none applies, this.
const headroom = 1.2

// wires are the relays of a round, which carry every byte: two for the clients'
// streams to the server, the others for SOCKS5 bytestreams.
type wires struct {
	dir    string
	route  route
	stream map[end]*xmpptest.Relay
	path   []*xmpptest.Relay
}

// layWires starts the relays and writes the configurations into dir. On failure
// what was started is closed.
func layWires(dir string, s *xmpptest.Server, p plan) (w *wires, err error) {
	w = &wires{dir: dir, route: p.route, stream: map[end]*xmpptest.Relay{}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	for _, e := range []end{sender, receiver} {
		if w.stream[e], err = xmpptest.NewRelay(s.Addr, xmpptest.RelayOptions{}); err != nil {
			return nil, err
		}
	}
	s5b, listens, err := w.paths(s, p)
	if err != nil {
		return nil, err
	}
	for _, r := range []role{command, daemon} {
		if err := errors.Join(w.write(sender, r, s5b, p), w.write(receiver, r, listens[r], p)); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// paths are the settings of s5b for the sender and for the receivers, with relays on
// the way that the plan has.
func (w *wires) paths(s *xmpptest.Server, p plan) (sends string, listens map[role]string, err error) {
	sends = "advertise: ['" + nowhere + "'], proxies: [none]"
	listens = map[role]string{command: sends, daemon: sends}
	switch p.route {
	case direct:
		for r := range listens {
			if listens[r], err = w.listener(p.rate); err != nil {
				return "", nil, err
			}
		}
	case proxy:
		relay, err := w.relay(s.ProxyAddr, p.rate)
		if err != nil {
			return "", nil, err
		}
		sends = fmt.Sprintf("advertise: ['%s'], proxies: [none, '%s=%s']", nowhere, s.ProxyJID, relay.Addr)
		listens = map[role]string{command: sends, daemon: sends}
	}
	return sends, listens, nil
}

// listener starts a relay to a free port and returns what makes a jetsend listen
// there and be dialled through the relay.
func (w *wires) listener(rate int64) (string, error) {
	port, err := xmpptest.FreePort()
	if err != nil {
		return "", err
	}
	relay, err := w.relay(fmt.Sprintf("127.0.0.1:%d", port), rate)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("listen_ports: [%d], advertise: ['%s'], proxies: [none]", port, relay.Addr), nil
}

func (w *wires) relay(target string, rate int64) (*xmpptest.Relay, error) {
	o := xmpptest.RelayOptions{SOCKS5: true}
	if rate > 0 {
		limit := xmpptest.Rate(int64(float64(rate) * headroom))
		o.Up, o.Down = []xmpptest.Fault{limit}, []xmpptest.Fault{limit}
	}
	r, err := xmpptest.NewRelay(target, o)
	if err == nil {
		w.path = append(w.path, r)
	}
	return r, err
}

// config is where the configuration of a process is.
func (w *wires) config(e end, r role) string {
	return filepath.Join(w.dir, fmt.Sprintf("%s-%s.yaml", e, r))
}

func (w *wires) write(e end, r role, s5b string, p plan) error {
	order := "[s5b, ibb]"
	if p.route == inBand {
		order = "[ibb]"
	}
	text := fmt.Sprintf("transports:\n  order: %s\n  s5b: {%s}\n", order, s5b)
	var receives []string
	if p.rate > 0 {
		text += fmt.Sprintf("send: {limit_rate: %d}\n", p.rate)
		receives = append(receives, fmt.Sprintf("limit_rate: %d", p.rate))
	}
	if p.set != nil && p.set.update {
		receives = append(receives, "on_conflict: update")
	}
	text += fmt.Sprintf("receive: {%s}\n", strings.Join(receives, ", "))
	if err := os.WriteFile(w.config(e, r), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// carriers are the relays that the bytes of the file go through.
func (w *wires) carriers() []*xmpptest.Relay {
	if w.route == inBand {
		return []*xmpptest.Relay{w.stream[sender]}
	}
	return w.path
}

// passed is how many bytes the carriers have taken in: for a proxy once on the way
// there, which is enough.
func (w *wires) passed() int64 {
	var n int64
	for _, r := range w.carriers() {
		c := r.Carried()
		n += c.UpCount
		if w.route != proxy {
			n += c.DownCount
		}
	}
	return n
}

func (w *wires) all() []*xmpptest.Relay {
	all := append([]*xmpptest.Relay(nil), w.path...)
	for _, r := range w.stream {
		all = append(all, r)
	}
	return all
}

func (w *wires) close() {
	for _, r := range w.all() {
		if r != nil {
			r.Close()
		}
	}
}
