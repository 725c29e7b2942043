package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetsend/internal/xmpptest/child"
)

// The two sides of a pair.
const (
	sideA = 0 // sends
	sideB = 1 // receives
)

// machineName is the interface of a machine behind a router.
const machineName = "eth0"

// home is one machine with what is between it and the internet.
type home struct {
	kind    string
	machine string // namespace
	router  string // namespace of the router at the internet, "" without one
	number  int    // of its own, in all public addresses and names
	// Two homes of a kind have the same private network, as those who buy the same
	// router do, and different machines in it.
	prefix string // of that network, without its last number
	host   int    // the last number of the machine
}

// newHome gives a home its number.
func newHome(kind string, side int) *home {
	i := slices.Index(kinds(), kind)
	h := &home{kind: kind, number: 10 + 2*i + side, prefix: fmt.Sprintf("10.%d.0", 10+i), host: 2 + side}
	h.machine = fmt.Sprintf("%s-%d", kind, h.number)
	if kind != kindPublic && kind != kindNoV4 {
		h.router = h.machine + "-router"
	}
	return h
}

// build makes the namespaces of the home.
func (h *home) build(ctx context.Context, n *network) {
	port := fmt.Sprintf("p%d", h.number)
	v4, v6 := fmt.Sprintf("45.9.9.%d", h.number), fmt.Sprintf("2a09:9:9::%d", h.number)
	n.namespace(ctx, h.machine)
	switch h.kind {
	case kindPublic:
		n.plug(ctx, h.machine, port, v4, "")
		return
	case kindNoV4:
		n.plug(ctx, h.machine, port, "", v6)
		return
	}
	n.namespace(ctx, h.router)
	switch h.kind {
	case kindV6:
		n.plug(ctx, h.router, port, v4, v6)
		n.lan(ctx, h.router, h.machine, machineName, h.prefix, h.host)
		n.lan6(ctx, h.router, h.machine, machineName, fmt.Sprintf("2a09:9:9:%d::", h.number), v6)
	case kindDouble:
		inner := h.machine + "-inner"
		n.namespace(ctx, inner)
		n.plug(ctx, h.router, port, v4, "")
		n.lan(ctx, h.router, inner, wanName, "192.168.1", 2)
		n.lan(ctx, inner, h.machine, machineName, h.prefix, h.host)
		n.nft(ctx, inner, routerRules(h.kind))
	default:
		n.plug(ctx, h.router, port, v4, "")
		n.lan(ctx, h.router, h.machine, machineName, h.prefix, h.host)
	}
	n.nft(ctx, h.router, routerRules(h.kind))
}

// routerRules are the rules of a home router: what is inside may begin
// connections, IPv4 is masqueraded, and what nobody inside asked for ends here. The
// table has the name and the chains that miniupnpd looks for.
func routerRules(kind string) string {
	masquerade, unasked := "masquerade", ""
	switch kind {
	case kindSymmetric, kindV6:
		masquerade = "masquerade fully-random"
	case kindRST:
		unasked = "meta l4proto tcp reject with tcp reset"
	}
	return strings.NewReplacer("@MASQUERADE@", masquerade, "@UNASKED@", unasked).Replace(`table inet filter {
 chain forward {
  type filter hook forward priority 0; policy drop;
  ct state established,related accept
  iifname "lan" accept
  jump miniupnpd
 }
 chain input {
  type filter hook input priority 0; policy drop;
  iifname { "lan", "lo" } accept
  ct state established,related accept
  meta l4proto ipv6-icmp accept
  @UNASKED@
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
  oifname "wan" meta nfproto ipv4 @MASQUERADE@
 }
 chain prerouting_miniupnpd {
 }
 chain postrouting_miniupnpd {
 }
}
`)
}

// mapper starts the miniupnpd of a router that has one. It ends with us.
func (h *home) mapper(ctx context.Context) error {
	if h.kind != kindUPnP && h.kind != kindPMP {
		return nil
	}
	dir := filepath.Join(base, h.router)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory of miniupnpd: %w", err)
	}
	yes := map[bool]string{true: "yes", false: "no"}
	config := fmt.Sprintf(`ext_ifname=wan
listening_ip=lan
enable_natpmp=%s
enable_upnp=%s
port=0
lease_file=%s/leases
uuid=11111111-2222-3333-4444-5555555555%d
system_uptime=yes
secure_mode=yes
allow 1024-65535 %s.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`, yes[h.kind == kindPMP], yes[h.kind == kindUPnP], dir, h.number, h.prefix)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(config), 0o644); err != nil {
		return fmt.Errorf("write configuration of miniupnpd: %w", err)
	}
	log := filepath.Join(dir, "log")
	out, err := os.Create(log)
	if err != nil {
		return fmt.Errorf("make log of miniupnpd: %w", err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	cmd := exec.Command(lookPath("ip"), "netns", "exec", h.router, lookPath("miniupnpd"), "-d", "-f", dir+"/conf", "-P", dir+"/pid")
	cmd.Stdout, cmd.Stderr = out, out
	proc, err := child.Start(cmd)
	if err != nil {
		return err
	}
	return poll(ctx, "wait for miniupnpd", func() (bool, error) {
		text, err := os.ReadFile(log)
		if err != nil {
			return false, fmt.Errorf("read log of miniupnpd: %w", err)
		}
		select {
		case <-proc.Done():
			return false, fmt.Errorf("miniupnpd ended by itself: %s", text)
		default:
		}
		return strings.Contains(string(text), "istening"), nil
	})
}

// mappings is how many ports the router has mapped.
func (h *home) mappings(ctx context.Context) (int, error) {
	if h.kind != kindUPnP && h.kind != kindPMP {
		return 0, nil
	}
	out, err := exec.CommandContext(ctx, lookPath("ip"), "netns", "exec", h.router,
		lookPath("nft"), "list", "chain", "inet", "filter", "prerouting_miniupnpd").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("look at the mappings of %s: %w: %s", h.router, err, out)
	}
	return strings.Count(string(out), " dnat "), nil
}

const (
	// pollEvery is how often a condition is looked at that nobody reports.
	pollEvery = 20 * time.Millisecond
	// pollLimit is how long it may take: ejabberd needs some seconds.
	pollLimit = 40 * time.Second
)

// poll returns when ok says yes, or an error.
func poll(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if yes, err := ok(); yes || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
}
