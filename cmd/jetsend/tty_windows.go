package main

import "golang.org/x/sys/windows"

// ttyName is the console's input.
const ttyName = "CONIN$"

// discardInput empties the console's input buffer.
func discardInput(fd uintptr) error { return windows.FlushConsoleInputBuffer(windows.Handle(fd)) }
