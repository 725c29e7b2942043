package portmap

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// home is a machine behind a router with a real miniupnpd, and somebody on the Internet,
// each in a network namespace of its own that has no way out.
type home struct {
	t               *testing.T
	inet, nat, host string // namespaces
	dir, bin        string
	daemon          *exec.Cmd
}

// What the router and its neighbours are called. Its external address has to look public:
// miniupnpd refuses others.
const (
	homeInside  = "10.0.1.1"
	homeHost    = "10.0.1.2"
	homeOutside = "45.9.9.11"
)

// homes counts them, for their names.
var homes atomic.Int32

// newHome makes the namespaces, or skips the test with the reason.
func newHome(t *testing.T) *home {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	bin, err := exec.LookPath("miniupnpd")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/miniupnpd"); err != nil {
			t.Skip("needs miniupnpd")
		}
	}
	for _, tool := range []string{"ip", "nft", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs ", tool)
		}
	}
	id := fmt.Sprintf("jspm%d-%d", os.Getpid(), homes.Add(1))
	h := &home{t: t, inet: id + "i", nat: id + "n", host: id + "h", dir: t.TempDir(), bin: bin}
	for _, ns := range []string{h.inet, h.nat, h.host} {
		if out, err := exec.CommandContext(t.Context(), "ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("no network namespaces here: %s", out)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() }) //nolint:errcheck,noctx // at the end
	}
	for _, line := range []string{
		"ip -n I link set lo up", "ip -n N link set lo up", "ip -n H link set lo up",
		"ip -n N link add wan type veth peer name eth0 netns I",
		"ip -n I addr add 45.9.9.1/24 dev eth0", "ip -n I link set eth0 up",
		"ip -n N addr add " + homeOutside + "/24 dev wan", "ip -n N link set wan up", "ip -n N route add default via 45.9.9.1",
		"ip -n N link add lan type veth peer name eth0 netns H",
		"ip -n N addr add " + homeInside + "/24 dev lan", "ip -n N link set lan up",
		"ip -n H addr add " + homeHost + "/24 dev eth0", "ip -n H link set eth0 up", "ip -n H route add default via " + homeInside,
		"ip netns exec N sysctl -qw net.ipv4.ip_forward=1",
	} {
		h.run("", line)
	}
	h.firewall()
	return h
}

// run runs a command; N, H and I as words of it are the namespaces.
func (h *home) run(stdin, line string) string {
	h.t.Helper()
	words := strings.Fields(line)
	for i, w := range words {
		switch w {
		case "N":
			words[i] = h.nat
		case "H":
			words[i] = h.host
		case "I":
			words[i] = h.inet
		}
	}
	cmd := exec.CommandContext(h.t.Context(), words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %s: %s", line, err, out)
	}
	return string(out)
}

// firewall is what a home router does: it translates what goes out, and drops what nobody
// inside has asked for.
func (h *home) firewall() {
	h.run(`flush ruleset
table inet filter {
	chain forward {
		type filter hook forward priority 0;
		policy drop;
		ct state established,related accept
		iifname "lan" accept
		jump miniupnpd
	}
	chain miniupnpd {
	}
	chain prerouting {
		type nat hook prerouting priority -100;
		jump prerouting_miniupnpd
	}
	chain postrouting {
		type nat hook postrouting priority 100;
		jump postrouting_miniupnpd
		oifname "wan" masquerade
	}
	chain prerouting_miniupnpd {
	}
	chain postrouting_miniupnpd {
	}
}
`, "ip netns exec N nft -f -")
}

// start starts the router's daemon with these protocols.
func (h *home) start(natpmp, upnp string) {
	h.t.Helper()
	conf := filepath.Join(h.dir, "upnpd.conf")
	text := fmt.Sprintf(`ext_ifname=wan
listening_ip=lan
enable_natpmp=%s
enable_upnp=%s
port=0
lease_file=%s/upnp.leases
uuid=11111111-2222-3333-4444-555555555555
secure_mode=yes
allow 1024-65535 10.0.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`, natpmp, upnp, h.dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	out, err := os.OpenFile(h.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	h.daemon = exec.Command("ip", "netns", "exec", h.nat, h.bin, "-d", "-f", conf, "-P", filepath.Join(h.dir, "pid")) //nolint:noctx // stop ends it
	h.daemon.Stdout, h.daemon.Stderr = out, out
	if err := h.daemon.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(h.stop)
	h.eventually("the router's daemon listens", func() bool {
		ports := h.run("", "ip netns exec N cat /proc/net/udp")
		return (natpmp == "no" || strings.Contains(ports, ":14E7 ")) && (upnp == "no" || strings.Contains(ports, ":076C "))
	})
}

// stop kills the router's daemon: it deletes nothing.
func (h *home) stop() {
	if h.daemon != nil {
		h.daemon.Process.Kill() //nolint:errcheck // it may have ended
		h.daemon.Wait()         //nolint:errcheck // it was killed
		h.daemon = nil
	}
}

// log is where the router's daemon writes.
func (h *home) log() string { return filepath.Join(h.dir, "log") }

// requests is how many requests for a mapping the router has had.
func (h *home) requests() int {
	b, err := os.ReadFile(h.log())
	if err != nil {
		h.t.Fatal(err)
	}
	return bytes.Count(b, []byte("NAT-PMP port mapping request")) + bytes.Count(b, []byte("AddPortMapping: ext port"))
}

// mapped reports whether the router leads a port to the machine behind it.
func (h *home) mapped(port uint16) bool {
	return strings.Contains(h.run("", "ip netns exec N nft list table inet filter"), fmt.Sprintf("th dport %d dnat ip to %s", port, homeHost))
}

// eventually waits for something. Half a minute means never.
func (h *home) eventually(what string, is func() bool) {
	h.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 300 {
		if is() {
			return
		}
		<-tick.C
	}
	b, _ := os.ReadFile(h.log())
	h.t.Fatalf("not within half a minute: %s\nthe router said:\n%s\n%s", what, b, h.run("", "ip netns exec N nft list ruleset"))
}

// insideVariable makes the test binary a process inside a namespace.
const insideVariable = "JETSEND_TEST_PORTMAP_LEASE"

// inside is a process that does what it is told on its standard input.
type inside struct {
	h   *home
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// enter starts a process in a namespace.
func (h *home) enter(ns string, lease time.Duration) *inside {
	h.t.Helper()
	p := &inside{h: h, cmd: exec.CommandContext(h.t.Context(), "ip", "netns", "exec", ns, os.Args[0], "-test.run=^TestInside$")}
	p.cmd.Env = append(os.Environ(), insideVariable+"="+lease.String())
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		h.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(p.kill)
	return p
}

// kill ends it in the middle of what it does. `ip netns exec` has become the process.
func (p *inside) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended
	p.cmd.Wait()         //nolint:errcheck // it was killed
}

// say tells it something and returns its answer.
func (p *inside) say(format string, a ...any) string {
	p.h.t.Helper()
	fmt.Fprintf(p.in, format+"\n", a...)
	for p.out.Scan() {
		if answer, ok := strings.CutPrefix(p.out.Text(), "> "); ok {
			return answer
		}
	}
	p.h.t.Fatalf("no answer to "+format, a...)
	return ""
}

// TestInside is no test by itself: it is what the processes in namespaces run.
func TestInside(t *testing.T) {
	lease, err := time.ParseDuration(os.Getenv(insideVariable))
	if err != nil {
		t.Skip("only run by other tests")
	}
	k := New(Config{Lease: lease})
	defer k.Close()
	var h *Hold
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, what, _ := strings.Cut(in.Text(), " ")
		switch verb {
		case "hold":
			port, err := strconv.ParseUint(what, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			if h, err = k.Hold(t.Context(), uint16(port)); err != nil {
				fmt.Println(">", err)
				continue
			}
			fmt.Println(">", h.External(), h.How())
		case "external":
			fmt.Println(">", h.External())
		case "release":
			h.Release()
			fmt.Println("> released")
		case "state":
			r, err := k.State(t.Context())
			fmt.Println(">", r.Gateway, r.Self, r.External, r.How, err)
		case "listen":
			l, err := net.Listen("tcp4", what) //nolint:noctx // it listens at once
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			fmt.Println("> listening")
		case "dial":
			d := net.Dialer{Timeout: 5 * time.Second}
			c, err := d.DialContext(t.Context(), "tcp4", what)
			if err == nil {
				c.Close()
			}
			fmt.Println("> reached:", err == nil)
		}
	}
}

// TestRouter: a real router maps a port, by each protocol, as long as somebody holds it.
func TestRouter(t *testing.T) {
	t.Parallel()
	for i, c := range []struct{ how, natpmp, upnp string }{{"nat-pmp", "yes", "no"}, {"upnp", "no", "yes"}} {
		port := uint16(6100 + i)
		want := netip.MustParseAddrPort(fmt.Sprintf("%s:%d", homeOutside, port))
		t.Run(c.how, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.start(c.natpmp, c.upnp)
			p := h.enter(h.host, 3*time.Second)
			if got, want := p.say("state"), fmt.Sprintf("%s %s %s [%s] <nil>", homeInside, homeHost, homeOutside, c.how); got != want {
				t.Fatalf("the router is %s, want %s", got, want)
			}
			if got := p.say("hold %d", port); got != fmt.Sprintf("%s %s", want, c.how) {
				t.Fatalf("mapped: %s", got)
			}
			if !h.mapped(port) {
				t.Fatal("the router knows nothing of it")
			}
			p.say("listen %s:%d", homeHost, port)
			if got := h.enter(h.inet, time.Second).say("dial %s", want); got != "reached: true" {
				t.Fatal("from outside: ", got)
			}
			h.renewed(p, port, want)
			p.say("release")
			h.eventually("the mapping is deleted", func() bool { return !h.mapped(port) })

			if got := p.say("hold %d", port); got != fmt.Sprintf("%s %s", want, c.how) {
				t.Fatalf("mapped again: %s", got)
			}
			p.kill()
			if !h.mapped(port) {
				t.Fatal("it was deleted by nobody")
			}
			h.eventually("what a killed process held runs out", func() bool { return !h.mapped(port) })
			h.stop()
		})
	}
}

// renewed: a mapping is there when it would have run out, and again when the router has
// restarted.
func (h *home) renewed(p *inside, port uint16, want netip.AddrPort) {
	h.t.Helper()
	before := h.requests()
	h.eventually("three renewals", func() bool { return h.requests() >= before+3 })
	if got := p.say("external"); got != want.String() || !h.mapped(port) {
		h.t.Fatal("after the renewals: ", got)
	}
	h.stop()
	h.firewall()
	if err := os.Remove(filepath.Join(h.dir, "upnp.leases")); err != nil {
		h.t.Log(err)
	}
	natpmp, upnp := "no", "yes"
	if strings.Contains(h.t.Name(), "nat-pmp") {
		natpmp, upnp = upnp, natpmp
	}
	h.start(natpmp, upnp)
	h.eventually("the mapping is made again", func() bool { return h.mapped(port) && p.say("external") == want.String() })
}

// TestNoRouter: what a doctor is told where nothing can be mapped.
func TestNoRouter(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	if got := h.enter(h.host, time.Minute).say("hold 6000"); got != "the router "+homeInside+" answers neither NAT-PMP nor UPnP" {
		t.Error(got)
	}
	h.start("yes", "yes")
	for _, line := range []string{"ip -n H link add vpn type veth peer name end", "ip -n H addr add 10.8.0.2/24 dev vpn", "ip -n H link set vpn up", "ip -n H route add 128.0.0.0/1 dev vpn"} {
		h.run("", line)
	}
	if got := h.enter(h.host, time.Minute).say("hold 6000"); !strings.Contains(got, "VPN") {
		t.Error(got)
	}
	h.run("", "ip -n H link del vpn")
	h.stop()
	h.run("", "ip -n N addr del "+homeOutside+"/24 dev wan")
	h.run("", "ip -n N addr add 192.168.7.2/24 dev wan")
	h.start("yes", "yes")
	if got := h.enter(h.host, time.Minute).say("hold 6000"); !strings.Contains(got, "there is another router behind it") {
		t.Error(got)
	}
	h.run("", "ip -n H route del default")
	if got := h.enter(h.host, time.Minute).say("hold 6000"); !strings.Contains(got, "no default route") {
		t.Error(got)
	}
}
