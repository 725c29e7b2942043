package main

import "context"

// terminal asks a person. Standard input is never read for an answer: it may
// be data.
type terminal interface {
	// Ask shows the prompt and returns the line that was typed.
	Ask(ctx context.Context, prompt string) (string, error)
	// Password is Ask without echo; the prompt is wiped afterwards.
	Password(ctx context.Context, prompt string) (string, error)
	Close() error
}

// maxAnswer bounds a typed line.
const maxAnswer = 4096
