// Command picture draws pictures of docs/: what two people see who send a first file, made of
// their screens; and the packages, made of their imports. `make pictures` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// timeout bounds it all, which takes some seconds.
const timeout = 2 * time.Minute

func main() {
	program := flag.String("program", "bin/jetsend", "the jetsend to show")
	file := flag.String("first-file", "", "where the picture of the first file goes; empty: it is not made")
	rooms := flag.String("rooms", "", "where the picture of the packages goes; empty: it is not made")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	err := errors.Join(drawRooms(ctx, *rooms), drawFirstFile(ctx, *program, *file))
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "picture: %v\n", err)
		os.Exit(1)
	}
}
