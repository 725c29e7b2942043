package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// runInside is the run proper, as the first process of its namespaces.
func runInside(ctx context.Context, o options, list []plan, stdout, stderr io.Writer) int {
	begin := time.Now()
	l := &lab{homes: map[string][2]*home{}, say: func(format string, args ...any) {
		if o.verbose {
			fmt.Fprintf(stderr, format+"\n", args...)
		}
	}}
	jetsend, err := enter(o)
	if err == nil {
		err = l.build(ctx, o, list)
	}
	if err != nil {
		fmt.Fprintf(stderr, "natlab: prepare: %v\n", err)
		return exitUsage
	}
	fmt.Fprintln(stdout, versions(ctx, jetsend))
	bad := 0
	for i, p := range list {
		n, err := l.runServer(ctx, o, p, i == 0, jetsend, stdout)
		bad += n
		if err != nil {
			fmt.Fprintf(stderr, "natlab: %v\n", err)
			return exitFailed
		}
	}
	fmt.Fprintf(stdout, "\n%d not ok, %.0f s\n", bad, time.Since(begin).Seconds())
	if bad > 0 {
		return exitFailed
	}
	return exitPassed
}

// build makes the internet and the homes that are needed.
func (l *lab) build(ctx context.Context, o options, list []plan) error {
	n := network{rtt: o.rtt}
	n.openInternet(ctx)
	needed := map[string]bool{}
	for _, p := range list {
		for _, c := range p.cells {
			needed[c.sender], needed[c.receiver] = true, true
		}
	}
	for _, kind := range kinds() {
		if !needed[kind] && !o.attack && !o.speed {
			continue
		}
		l.homes[kind] = [2]*home{newHome(kind, sideA), newHome(kind, sideB)}
		for _, h := range l.homes[kind] {
			h.build(ctx, &n)
			if n.err != nil {
				return n.err
			}
			if err := h.mapper(ctx); err != nil {
				return err
			}
		}
	}
	return n.err
}

// runServer runs what is wanted with one server; what needs only one of them, with
// the first. It returns how much is not ok.
func (l *lab) runServer(ctx context.Context, o options, p plan, first bool, jetsend string, stdout io.Writer) (bad int, err error) {
	s, err := startServer(ctx, p.server, o.noProxy)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	if l.sender, err = s.account(senderUser, jetsend); err != nil {
		return 0, err
	}
	if l.receiver, err = s.account(receiverUser, jetsend); err != nil {
		return 0, err
	}
	if o.matrix {
		if bad, err = l.runMatrix(ctx, p, stdout); err != nil {
			return bad, err
		}
	}
	for _, part := range []struct {
		wanted bool
		run    func(context.Context, io.Writer) (int, error)
	}{{o.matrix && first, l.runDoctor}, {o.attack && first, l.runAttack}} {
		if !part.wanted {
			continue
		}
		n, err := part.run(ctx, stdout)
		bad += n
		if err != nil {
			return bad, err
		}
	}
	if o.speed && first {
		return bad, l.runSpeed(ctx, o, stdout)
	}
	return bad, nil
}

// versions says what takes part, in one line.
func versions(ctx context.Context, jetsend string) string {
	var parts []string
	for _, pkg := range []string{"prosody", "ejabberd", "coturn", "miniupnpd-nftables"} {
		out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Package} ${Version}", pkg).Output()
		if err == nil {
			parts = append(parts, string(out))
		}
	}
	if out, err := exec.CommandContext(ctx, jetsend, "version").Output(); err == nil {
		first, _, _ := strings.Cut(string(out), "\n")
		parts = append(parts, first)
	}
	return strings.Join(parts, ", ")
}
