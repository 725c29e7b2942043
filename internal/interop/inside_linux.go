package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// runInside is the run proper, as the first process of its namespaces.
func runInside(ctx context.Context, o options, cells []cell, stdout, stderr io.Writer) int {
	e, err := enter(ctx, o)
	if err == nil {
		err = nameHosts()
	}
	if err == nil {
		err = coverCertificates()
	}
	if err != nil {
		fmt.Fprintf(stderr, "interop: prepare: %v\n", err)
		return exitUsage
	}
	r := &rig{enclosure: *e, say: func(format string, args ...any) {
		if o.verbose {
			fmt.Fprintf(stderr, "interop: "+format+"\n", args...)
		}
	}}
	fmt.Fprintln(stdout, versions(ctx, e.jetsend, cells))
	if printTable(stdout, runCells(ctx, r, cells, stderr)) > 0 {
		return exitFailed
	}
	return exitPassed
}

// versions says what takes part, in one line.
func versions(ctx context.Context, jetsend string, cells []cell) string {
	packages := []string{"prosody", "ejabberd"}
	for client, pkg := range map[string]string{clientDino: "dino-im", clientGajim: "gajim", clientLibervia: "libervia-backend"} {
		if slices.ContainsFunc(cells, func(c cell) bool { return c.needs == client }) {
			packages = append(packages, pkg)
		}
	}
	var parts []string
	for _, pkg := range slices.Sorted(slices.Values(packages)) {
		out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Package} ${Version}", pkg).Output()
		if err != nil {
			out = []byte(pkg + " (version not known)")
		}
		parts = append(parts, string(out))
	}
	if jetsend != "" {
		if out, err := exec.CommandContext(ctx, jetsend, "version").Output(); err == nil {
			first, _, _ := strings.Cut(string(out), "\n")
			parts = append(parts, first)
		}
	}
	return strings.Join(parts, ", ")
}
