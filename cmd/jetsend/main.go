// Command jetsend sends files to XMPP contacts, end-to-end encrypted, and
// receives them. See `jetsend help`.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], system{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Env: os.Getenv, Environ: os.Environ, Exit: os.Exit, OpenTTY: openTTY,
	}))
}
