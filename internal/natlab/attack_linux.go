package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// probe is a transfer of which one end must speak to nobody but those allowed.
type probe struct {
	name    string
	kind    string // of the home that is watched
	sends   bool   // it sends; else it receives
	flags   []string
	socks   bool     // configured with socks5
	allowed []string // addresses
	control bool     // must be seen to speak to others: it proves the watch
}

// probes are those of every kind of home that offers a way past the server.
func probes() []probe {
	var list []probe
	server := []string{serverV4, serverV6}
	for _, kind := range []string{kindPublic, kindV6, kindHome, kindUPnP, kindPMP} {
		list = append(list,
			probe{name: "send", kind: kind, sends: true, allowed: server, control: true},
			probe{name: "send --no-direct", kind: kind, sends: true, allowed: server, flags: []string{"--no-direct"}},
			probe{name: "receive --no-direct", kind: kind, allowed: server, flags: []string{"--no-direct"}},
			probe{name: "send, socks5", kind: kind, sends: true, allowed: []string{socksAddress}, socks: true},
			probe{name: "receive, socks5", kind: kind, allowed: []string{socksAddress}, socks: true},
		)
	}
	return list
}

// runAttack runs all probes and prints each. It returns how many are not ok.
func (l *lab) runAttack(ctx context.Context, stdout io.Writer) (bad int, err error) {
	file, err := makePayload("probe", cellSize)
	if err != nil {
		return 0, err
	}
	proxy, err := startSocks(ctx)
	if err != nil {
		return 0, err
	}
	defer proxy.close()
	fmt.Fprintln(stdout, "\nattack: whom else a machine speaks to that must speak to its server alone, or to its SOCKS proxy alone")
	for _, p := range probes() {
		if err := ctx.Err(); err != nil {
			return bad, fmt.Errorf("not all probes were run: %w", err)
		}
		o, others, err := l.probe(ctx, p, file, proxy)
		verdict := "ok"
		switch {
		case err != nil:
			verdict = fmt.Sprintf("FAILED: %v", err)
		case p.control && len(others) == 0:
			verdict = "WRONG: the watch sees nothing"
		case !p.control && len(others) > 0:
			verdict = "LEAK"
		}
		if verdict != "ok" {
			bad++
		}
		fmt.Fprintf(stdout, "%-20s %-14s %-10s others: %s  %s\n", p.name, p.kind, o.path(), said(p, others), verdict)
	}
	return bad, nil
}

// said are the others as they are printed: of a control, only how many.
func said(p probe, others []string) string {
	switch {
	case len(others) == 0:
		return "none"
	case p.control:
		return fmt.Sprintf("%d, as must be without a flag", len(others))
	}
	return strings.Join(others, ", ")
}

// probe does the transfer of a probe, and returns to whom else its home spoke: what
// left the machine for others, and what the SOCKS proxy was asked for.
func (l *lab) probe(ctx context.Context, p probe, file payload, proxy *socks) (o outcome, others []string, err error) {
	peer := kindPublic
	if p.kind == kindV6 {
		peer = kindNoV4 // can be reached from there by IPv6
	}
	j := job{from: l.homes[p.kind][sideA], to: l.homes[peer][sideB], file: file}
	watched, args, config, account := j.from, &j.send, &j.sendConfig, &l.sender
	if !p.sends {
		j.from, j.to = l.homes[peer][sideA], l.homes[p.kind][sideB]
		watched, args, config, account = j.to, &j.receive, &j.receiveConfig, &l.receiver
	}
	*args = p.flags
	if p.socks {
		direct := account.Server
		defer func() { account.Server = direct }()
		account.Server = onlyProxied + ":5222"
		if *config, err = socksConfig(account.JID); err != nil {
			return o, nil, err
		}
	}
	proxy.forget()
	if err := watch(ctx, watched.machine, p.allowed); err != nil {
		return o, nil, err
	}
	o, err = l.do(ctx, j)
	others, lost := unwatch(ctx, watched.machine)
	if err == nil {
		err = lost
	}
	for _, place := range proxy.forget() {
		if place != onlyProxied+":5222" && place != "proxy."+domain+":5000" {
			others = append(others, place+" by the proxy")
		}
	}
	return o, others, err
}

// socksConfig writes a configuration with a SOCKS proxy.
func socksConfig(jid string) (path string, err error) {
	path = filepath.Join(base, "socks5-"+jid+".yaml")
	text := fmt.Sprintf("accounts:\n  home:\n    jid: %s\n    socks5: %s:%s\n", jid, socksAddress, socksPort)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	return path, nil
}

// watch remembers in the namespace of a machine where its packets go, whatever
// they are, unless to those allowed. What IPv6 needs to find its neighbours, and
// loopback, does not count.
func watch(ctx context.Context, ns string, allowed []string) error {
	var accept strings.Builder
	for _, a := range allowed {
		family := "ip"
		if strings.Contains(a, ":") {
			family = "ip6"
		}
		fmt.Fprintf(&accept, "  %s daddr %s accept\n", family, a)
	}
	var n network
	n.nft(ctx, ns, `table inet watch {
 set others4 {
  type ipv4_addr . inet_proto . inet_service
  flags dynamic
  size 4096
 }
 set others6 {
  type ipv6_addr . inet_proto . inet_service
  flags dynamic
  size 4096
 }
 chain out {
  type filter hook output priority 0; policy accept;
  oifname "lo" accept
`+accept.String()+`  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept
  meta nfproto ipv4 update @others4 { ip daddr . meta l4proto . th dport }
  meta nfproto ipv6 update @others6 { ip6 daddr . meta l4proto . th dport }
 }
}
`)
	return n.err
}

// unwatch ends a watch and returns where packets went.
func unwatch(ctx context.Context, ns string) ([]string, error) {
	var others []string
	for _, set := range []string{"others4", "others6"} {
		out, err := exec.CommandContext(ctx, "ip", "netns", "exec", ns, lookPath("nft"), "list", "set", "inet", "watch", set).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("read what was watched: %w: %s", err, out)
		}
		_, elements, found := strings.Cut(string(out), "elements = {")
		if !found {
			continue
		}
		elements, _, _ = strings.Cut(elements, "}")
		for e := range strings.SplitSeq(elements, ",") {
			others = append(others, strings.Join(strings.Fields(e), " "))
		}
	}
	slices.Sort(others)
	var n network
	n.nft(ctx, ns, "delete table inet watch\n")
	return others, n.err
}
