//go:build !linux

package main

// settle does nothing here.
func settle() {}
