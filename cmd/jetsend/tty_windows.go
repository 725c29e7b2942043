package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"jetsend/internal/fault"
)

// consoleTTY is the two halves of the console, whatever the standard streams are.
type consoleTTY struct{ in, out *os.File }

// openTTY opens the console of the process.
func openTTY() (terminal, error) {
	in, err := os.OpenFile("CONIN$", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the console: %w", err)
	}
	out, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the console: %w", err), in.Close())
	}
	return consoleTTY{in, out}, nil
}

// Close implements terminal.
func (t consoleTTY) Close() error { return errors.Join(t.in.Close(), t.out.Close()) }

// Ask implements terminal. The line is edited and echoed by the system.
func (t consoleTTY) Ask(ctx context.Context, prompt string) (string, error) {
	return t.question(ctx, prompt, windows.ENABLE_ECHO_INPUT)
}

// Password implements terminal.
func (t consoleTTY) Password(ctx context.Context, prompt string) (string, error) {
	password, err := t.question(ctx, prompt, 0)
	end := "\n"
	if erases(t.out, nil) {
		end = "\r\x1b[2K"
	}
	_, _ = io.WriteString(t.out, end) // the answer is there
	return password, err
}

// question asks with the echo or without it.
func (t consoleTTY) question(ctx context.Context, prompt string, echo uint32) (answer string, err error) {
	in := windows.Handle(t.in.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(in, &mode); err != nil {
		return "", fmt.Errorf("ask on the console: %w", err)
	}
	const lines = windows.ENABLE_PROCESSED_INPUT | windows.ENABLE_LINE_INPUT
	if err := windows.SetConsoleMode(in, mode&^windows.ENABLE_ECHO_INPUT|lines|echo); err != nil {
		return "", fmt.Errorf("ask on the console: %w", err)
	}
	defer func() { err = errors.Join(err, windows.SetConsoleMode(in, mode)) }()
	// What was typed before is an answer to something else.
	if err := windows.FlushConsoleInputBuffer(in); err != nil {
		return "", fmt.Errorf("discard what was typed before: %w", err)
	}
	if _, err := io.WriteString(t.out, prompt); err != nil {
		return "", err
	}
	return t.line(ctx)
}

// line reads a line. Nothing ends a read of a console but a key: one that is not waited for
// any more gets one, or it would hold the console, and take the answer to the next question.
func (t consoleTTY) line(ctx context.Context) (string, error) {
	type typed struct {
		line string
		err  error
	}
	got := make(chan typed, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(t.in, maxAnswer)).ReadString('\n')
		got <- typed{line, err}
	}()
	select {
	case <-ctx.Done():
		in := windows.Handle(t.in.Fd())
		if err := pressEnter(in); err == nil {
			<-got
			_ = windows.FlushConsoleInputBuffer(in) // the key, if a Ctrl-C had ended the read already
		}
		return "", context.Cause(ctx)
	case a := <-got:
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if errors.Is(a.err, io.EOF) { // Ctrl-C, or Ctrl-Z
			return "", fault.ErrInterrupted
		}
		if a.err != nil {
			return "", fmt.Errorf("no answer: %w", a.err)
		}
		return strings.TrimSpace(a.line), nil
	}
}

// keyRecord is an INPUT_RECORD with a KEY_EVENT_RECORD.
type keyRecord struct {
	kind   uint16
	_      uint16
	down   int32
	repeat uint16
	key    uint16
	scan   uint16
	char   uint16
	state  uint32
}

// keyEvent is the kind of a keyRecord.
const keyEvent = 1

var writeConsoleInput = windows.NewLazySystemDLL("kernel32.dll").NewProc("WriteConsoleInputW")

// pressEnter puts an Enter into the input of a console.
func pressEnter(in windows.Handle) error {
	record := keyRecord{kind: keyEvent, down: 1, repeat: 1, key: windows.VK_RETURN, scan: 0x1c, char: '\r'}
	var written uint32
	if ok, _, err := writeConsoleInput.Call(uintptr(in), uintptr(unsafe.Pointer(&record)), 1, uintptr(unsafe.Pointer(&written))); ok == 0 {
		return fmt.Errorf("write to the console: %w", err)
	}
	return nil
}
