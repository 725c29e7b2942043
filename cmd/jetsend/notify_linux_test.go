package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// abstractSockets: sockets without a place in the file system (unix(7)).
const abstractSockets = true

// TestMonotonic holds our reading against the kernel's word: without a sleep of
// the machine the clock says how long the system is up.
func TestMonotonic(t *testing.T) {
	before := monotonic()
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	up, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	after := monotonic()
	if before <= 0 || after < before {
		t.Errorf("%v, then %v", before, after)
	}
	if before.Seconds() > up+1 { // uptime counts sleep, too
		t.Errorf("the clock says %v, the system is up for %v s", before, up)
	}
}
