package main

import (
	"context"
	"io"
)

func long(ctx context.Context, w io.Writer, world *world, o options) error { return nil }
