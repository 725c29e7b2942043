package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMain is the enclosed process, too: it is this program that is run again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-inside" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestHomes is the short form of "make nat": the pairs that matter most, judged by
// the same table.
func TestHomes(t *testing.T) {
	if testing.Short() {
		t.Skip("some twenty seconds of real servers and routers")
	}
	if why := unable(); why != "" {
		t.Skip(why)
	}
	if packages := missing(options{server: serverProsody}); len(packages) > 0 {
		t.Skipf("these packages are not installed: %s", strings.Join(packages, " "))
	}
	program := filepath.Join(t.TempDir(), "jetsend")
	if out, err := exec.Command("go", "build", "-o", program, "jetsend/cmd/jetsend").CombinedOutput(); err != nil {
		t.Fatalf("build jetsend: %v: %s", err, out)
	}
	var output bytes.Buffer
	status := run(t.Context(), []string{
		"-jetsend", program, "-server", serverProsody, "-matrix",
		"-pairs", "home/home,v6-firewall/v6-firewall,home/mapped-upnp",
	}, &output, &output)
	t.Logf("%s", output.Bytes())
	if status != exitPassed {
		t.Errorf("exit status %d", status)
	}
}

func TestOutlooks(t *testing.T) {
	for _, kind := range kinds() {
		if n := len(outlooks()[kind]); n != len(kinds()) {
			t.Errorf("%s: %d outlooks for %d kinds", kind, n, len(kinds()))
		}
	}
	for _, p := range required() {
		if got := expected(p[0], p[1]); got.aim != direct {
			t.Errorf("%s/%s is required, and the aim is %s", p[0], p[1], got.aim)
		}
		if expected(p[0], p[1]) != expected(p[1], p[0]) {
			t.Errorf("%s/%s: not the same both ways", p[0], p[1])
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		outlook outlook
		got     string
		verdict string
		ok      bool
	}{
		{outlook{direct, direct}, direct, "ok", true},
		{outlook{direct, direct}, relay, "WORSE: must be direct", false},
		{outlook{relay, direct}, relay, "ok today, aim direct", true},
		{outlook{relay, direct}, direct, "gained", true},
		{outlook{relay, anyPath}, direct, "gained", true},
		{outlook{relay, relay}, direct, "gained, beyond the aim", true},
		{outlook{anyPath, anyPath}, relay, "ok", true},
		{outlook{anyPath, anyPath}, direct, "ok", true},
	} {
		if verdict, ok := c.outlook.judge(c.got); verdict != c.verdict || ok != c.ok {
			t.Errorf("%v, %s: %q, %v", c.outlook, c.got, verdict, ok)
		}
	}
}

func TestClass(t *testing.T) {
	for path, want := range map[[2]string]string{
		{"s5b", "direct"}: direct, {"s5b", "punched"}: direct, {"s5b", "assisted"}: direct,
		{"s5b", "proxy"}: relay, {"s5b", ""}: relay, {"ibb", ""}: relay,
	} {
		if got := class(path[0], path[1]); got != want {
			t.Errorf("%v: %s", path, got)
		}
	}
}

func TestPlans(t *testing.T) {
	both, err := plans(options{server: "both"})
	if err != nil || len(both) != 2 || len(both[0].cells) != len(kinds())*len(kinds()) || len(both[1].cells) != len(required()) {
		t.Errorf("%v, %v", both, err)
	}
	some, err := plans(options{server: "both", pairs: "no-v4/*,v6-*/v6-*"})
	if err != nil || len(some) != 2 || len(some[0].cells) != len(kinds())+1 || !slices.Equal(some[1].cells, []cell{{kindV6, kindV6}}) {
		t.Errorf("%v, %v", some, err)
	}
	for _, bad := range []options{{server: "other"}, {server: "both", pairs: "nobody/*"}} {
		if got, err := plans(bad); err == nil {
			t.Errorf("%v: %v", bad, got)
		}
	}
}

func TestList(t *testing.T) {
	var out bytes.Buffer
	if status := run(t.Context(), []string{"-list", "-pairs", "home/home"}, &out, io.Discard); status != exitPassed {
		t.Errorf("exit status %d", status)
	}
	if !strings.Contains(out.String(), "home/home") {
		t.Errorf("%s", out.String())
	}
	if status := run(t.Context(), []string{"more"}, io.Discard, io.Discard); status != exitUsage {
		t.Errorf("exit status %d", status)
	}
}
