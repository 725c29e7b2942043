// Package pty opens pseudo-terminals, for tests and pictures of what a person sees. It is for
// Linux alone.
package pty
