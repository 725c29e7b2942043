//go:build darwin || windows

package main

// keyringNeedsBus: the keyring is a part of the operating system.
const keyringNeedsBus = false
