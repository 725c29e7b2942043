// Command probe is run by the jetsend of Windows in the cases of winlab: without arguments, as
// the program of --exec, which tells what it was given in a file beside itself; as `probe
// leave FILE`, a command that fails and leaves a child, which lives until it is killed.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

// beat is how often a child says that it lives.
const beat = 100 * time.Millisecond

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "leave":
		return leave(args[1])
	case len(args) == 2 && args[0] == "hold":
		return hold(args[1])
	}
	return tell(args)
}

// tell writes down arguments, variables and input.
func tell(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d arguments\n", len(args))
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "JETSEND_") {
			fmt.Fprintln(&b, kv)
		}
	}
	return os.WriteFile(self+".said", append([]byte(b.String()), stdin...), 0o600)
}

// leave begins a child, and fails when that one lives.
func leave(file string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := exec.Command(self, "hold", file).Start(); err != nil {
		return err
	}
	for range time.Tick(beat) {
		if is, err := os.Stat(file); err == nil && is.Size() > 0 {
			break
		}
	}
	return errors.New("there is a child")
}

// hold writes into a file for as long as it lives, which a Ctrl-C does not end.
func hold(file string) (err error) {
	signal.Ignore(os.Interrupt)
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	for range time.Tick(beat) {
		if _, err := f.WriteString("."); err != nil {
			return err
		}
	}
	return f.Close()
}
