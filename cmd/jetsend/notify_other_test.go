//go:build !linux

package main

const abstractSockets = false
