//go:build !darwin && !windows

package main

// keyringNeedsBus: the Secret Service is reached over the D-Bus session bus.
const keyringNeedsBus = true
