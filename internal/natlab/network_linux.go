package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// The addresses of the internet. They are nobody's here, but neither private nor
// reserved: miniupnpd makes no mapping of a reserved one, and jetsend has to judge
// what is public.
const (
	serverV4, serverV6   = "45.9.9.1", "2a09:9:9::1"
	stunV4, stunV6       = "45.9.9.2", "2a09:9:9::2" // the same machine
	socksAddress         = "45.9.9.3"                // the same machine
	gatewayV4, gatewayV6 = "45.9.9.254", "2a09:9:9::fe"
)

const (
	// internet is the namespace of the bridge. It forwards IPv6, whose homes have
	// networks of their own. Private addresses lead nowhere: not even an error comes
	// back, as from many a provider.
	internet = "internet"
	// wanName is the interface to the internet, of the server and of each router.
	wanName = "wan"
)

// network builds with ip and nft. The first error stays, and nothing is done
// after it.
type network struct {
	rtt time.Duration // between two homes
	err error
}

// ip runs ip with arguments that have no spaces in them.
func (n *network) ip(ctx context.Context, format string, args ...any) {
	n.command(ctx, "", "ip "+fmt.Sprintf(format, args...))
}

// nft loads rules in a namespace.
func (n *network) nft(ctx context.Context, ns, rules string) {
	n.command(ctx, rules, inside(ns)+"nft -f -")
}

// set writes a setting of the kernel in a namespace.
func (n *network) set(ctx context.Context, ns, name, value string) {
	n.command(ctx, value+"\n", inside(ns)+"tee /proc/sys/"+name)
}

// inside is the beginning of a command in a namespace; "" is that of the server.
func inside(ns string) string {
	if ns == "" {
		return ""
	}
	return "ip netns exec " + ns + " "
}

func (n *network) command(ctx context.Context, input, line string) {
	if n.err != nil {
		return
	}
	words := strings.Fields(line)
	cmd := exec.CommandContext(ctx, lookPath(words[0]), words[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		n.err = fmt.Errorf("%s: %w: %s", line, err, out)
	}
}

// namespace makes a namespace with a working loopback.
func (n *network) namespace(ctx context.Context, ns string) {
	n.ip(ctx, "netns add %s", ns)
	n.ip(ctx, "-n %s link set lo up", ns)
}

// openInternet makes the bridge, and puts the server on it.
func (n *network) openInternet(ctx context.Context) {
	n.ip(ctx, "link set lo up")
	n.namespace(ctx, internet)
	n.set(ctx, internet, "net/ipv6/conf/all/forwarding", "1")
	n.ip(ctx, "-n %s link add name br0 type bridge", internet)
	n.ip(ctx, "-n %s link set dev br0 up", internet)
	n.ip(ctx, "-n %s address add %s/24 dev br0", internet, gatewayV4)
	n.ip(ctx, "-n %s address add %s/64 dev br0 nodad", internet, gatewayV6)
	n.set(ctx, internet, "net/ipv4/ip_forward", "1")
	for _, private := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} {
		n.ip(ctx, "-n %s route add blackhole %s", internet, private)
	}
	n.ip(ctx, "link add name %s type veth peer name server netns %s", wanName, internet)
	n.ip(ctx, "-n %s link set server master br0 up", internet)
	n.ip(ctx, "link set %s up", wanName)
	for _, a := range []string{serverV4, stunV4, socksAddress} {
		n.ip(ctx, "address add %s/24 dev %s", a, wanName)
	}
	for _, a := range []string{serverV6, stunV6} {
		n.ip(ctx, "address add %s/64 dev %s nodad", a, wanName)
	}
	n.ip(ctx, "route add default via %s", gatewayV4)
	n.ip(ctx, "-6 route add default via %s", gatewayV6)
}

// plug connects a namespace with the internet; an empty address is none.
func (n *network) plug(ctx context.Context, ns, port, v4, v6 string) {
	switch {
	case n.err != nil:
	case n.rtt > 0:
		// There and back, of both homes: four times.
		n.err = wire(internet, port, ns, wanName, n.rtt/4)
	default:
		n.ip(ctx, "-n %s link add name %s type veth peer name %s netns %s", internet, port, wanName, ns)
	}
	n.ip(ctx, "-n %s link set %s master br0 up", internet, port)
	n.ip(ctx, "-n %s link set %s up", ns, wanName)
	if v4 != "" {
		n.ip(ctx, "-n %s address add %s/24 dev %s", ns, v4, wanName)
		n.ip(ctx, "-n %s route add default via %s", ns, gatewayV4)
	}
	if v6 != "" {
		n.ip(ctx, "-n %s address add %s/64 dev %s nodad", ns, v6, wanName)
		n.ip(ctx, "-n %s -6 route add default via %s", ns, gatewayV6)
	}
}

// lan connects what is behind a router with it. prefix is the network without its
// last number: the router is 1 in it, and what is behind it host.
func (n *network) lan(ctx context.Context, router, ns, name, prefix string, host int) {
	n.ip(ctx, "-n %s link add name lan type veth peer name %s netns %s", router, name, ns)
	n.ip(ctx, "-n %s address add %s.1/24 dev lan", router, prefix)
	n.ip(ctx, "-n %s link set lan up", router)
	n.ip(ctx, "-n %s address add %s.%d/24 dev %s", ns, prefix, host, name)
	n.ip(ctx, "-n %s link set %s up", ns, name)
	n.ip(ctx, "-n %s route add default via %s.1", ns, prefix)
	n.set(ctx, router, "net/ipv4/ip_forward", "1")
}

// lan6 adds a global IPv6 network, whose prefix ends with ::, to such a connection.
func (n *network) lan6(ctx context.Context, router, ns, name, prefix, routerV6 string) {
	n.set(ctx, router, "net/ipv6/conf/all/forwarding", "1")
	n.ip(ctx, "-n %s address add %s1/64 dev lan nodad", router, prefix)
	n.ip(ctx, "-n %s address add %s2/64 dev %s nodad", ns, prefix, name)
	n.ip(ctx, "-n %s -6 route add default via %s1", ns, prefix)
	n.ip(ctx, "-n %s -6 route add %s/64 via %s", internet, prefix, routerV6)
}

// carried returns how many bytes have come and gone at the server's interface to
// the internet: its own, its proxy's, and those of the STUN host.
func carried() (int64, error) {
	// Not of self: openTAP may have left that thread in another namespace.
	text, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		return 0, fmt.Errorf("read counters of the server: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		name, counts, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != wanName {
			continue
		}
		var in, out int64
		var other int64
		_, err := fmt.Sscan(counts, &in, &other, &other, &other, &other, &other, &other, &other, &out)
		if err != nil {
			return 0, fmt.Errorf("read counters of the server: %w", err)
		}
		return in + out, nil
	}
	return 0, fmt.Errorf("read counters of the server: no interface %s", wanName)
}
