package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// keyDelay is the pause between two typed keys, in milliseconds.
	keyDelay = "8"
	// settle is how long a window gets to take a key or a focus.
	settle = 250 * time.Millisecond
	// chooserTimeout bounds the wait for the file dialogue after one Ctrl+U.
	chooserTimeout = 1500 * time.Millisecond
	// chooserTries is how often Ctrl+U is pressed: Dino ignores it until it knows
	// that the contact can take files, which takes it a round trip or two.
	chooserTries = 12
	// xdotoolTimeout bounds one call.
	xdotoolTimeout = 10 * time.Second
	// dialogueName is the title of Dino's file dialogue.
	dialogueName = "Select file"
	// bubbleAbove is how far above the lower edge of Dino's window the middle of
	// the last file is, in pixels.
	bubbleAbove = 106
	// bubbleStep and bubbleSteps say where else the file is looked for, up and
	// down from there.
	bubbleStep, bubbleSteps = 15, 5
)

// errNoWindow means that a window is not there (yet).
var errNoWindow = errors.New("no such window")

// xdotool runs one command of it and returns its output.
func (d *desktop) xdotool(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, xdotoolTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "xdotool", args...)
	cmd.Env = d.environment()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("xdotool %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// xdotools runs several commands in turn, with a pause after each.
func (d *desktop) xdotools(ctx context.Context, commands ...[]string) error {
	for _, args := range commands {
		if _, err := d.xdotool(ctx, args...); err != nil {
			return err
		}
		pause(ctx, settle)
	}
	return nil
}

// window finds a visible window.
func (d *desktop) window(ctx context.Context, by, pattern string) (string, error) {
	out, err := d.xdotool(ctx, "search", "--onlyvisible", by, pattern)
	first, _, _ := strings.Cut(out, "\n")
	if err != nil || first == "" { // xdotool fails when it finds none
		return "", fmt.Errorf("%w: %s", errNoWindow, pattern)
	}
	return first, nil
}

// raise brings Dino's main window to the front and returns it.
func (d *desktop) raise(ctx context.Context) (string, error) {
	var id string
	err := poll(ctx, dinoTimeout, "find Dino's window", func(ctx context.Context) (ok bool, err error) {
		id, err = d.window(ctx, "--class", "dino")
		return err == nil, err
	})
	if err != nil {
		return "", err
	}
	return id, d.focus(ctx, id)
}

// focus gives a window the keyboard.
func (d *desktop) focus(ctx context.Context, window string) error {
	return d.xdotools(ctx, []string{"windowactivate", "--sync", window})
}

// click moves the pointer over a window, to the middle of its right part and
// as far above its lower edge as said, and clicks.
func (d *desktop) click(ctx context.Context, window string, above int) error {
	shape, err := d.xdotool(ctx, "getwindowgeometry", "--shell", window)
	if err != nil {
		return err
	}
	var width, height int
	for line := range strings.Lines(shape) {
		_, _ = fmt.Sscanf(line, "WIDTH=%d", &width) // one of the two matches a line
		_, _ = fmt.Sscanf(line, "HEIGHT=%d", &height)
	}
	if width == 0 || height <= above {
		return fmt.Errorf("the window's shape is %q", shape)
	}
	// Dino marks what is under the pointer when it moves, so it moves twice.
	return d.xdotools(ctx,
		[]string{"mousemove", "--window", window, fmt.Sprint(width / 2), fmt.Sprint(height - above)},
		[]string{"mousemove_relative", "2", "1"},
		[]string{"click", "1"})
}

// say types a message into the open conversation and sends it.
func (d *desktop) say(ctx context.Context, text string) error {
	if _, err := d.raise(ctx); err != nil {
		return err
	}
	return d.xdotools(ctx, []string{"type", "--delay", keyDelay, text}, []string{"key", "Return"})
}

// sendFile sends a file in the open conversation, as a person at the keyboard
// does: Ctrl+U, the path, Return, and Return again for the preview.
func (d *desktop) sendFile(ctx context.Context, path string) error {
	main, err := d.raise(ctx)
	if err != nil {
		return err
	}
	chooser, err := d.openChooser(ctx, main)
	if err != nil {
		return err
	}
	if err := d.focus(ctx, chooser); err != nil {
		return err
	}
	err = d.xdotools(ctx,
		[]string{"type", "--delay", keyDelay, path},
		[]string{"key", "Return"})
	if err != nil {
		return err
	}
	// The first Return may only have taken the completion that pops up.
	err = poll(ctx, dinoTimeout, "wait for the file dialogue to close", func(ctx context.Context) (bool, error) {
		if _, err := d.window(ctx, "--name", dialogueName); errors.Is(err, errNoWindow) {
			return true, nil
		}
		return false, d.xdotools(ctx, []string{"key", "Return"})
	})
	if err != nil {
		return err
	}
	pause(ctx, settle)
	if err := d.focus(ctx, main); err != nil {
		return err
	}
	return d.xdotools(ctx, []string{"key", "Return"})
}

// openChooser presses Ctrl+U until the file dialogue opens.
func (d *desktop) openChooser(ctx context.Context, main string) (string, error) {
	for range chooserTries {
		if err := d.focus(ctx, main); err != nil {
			return "", err
		}
		if err := d.xdotools(ctx, []string{"key", "ctrl+u"}); err != nil {
			return "", err
		}
		var chooser string
		err := poll(ctx, chooserTimeout, "wait for the file dialogue", func(ctx context.Context) (ok bool, err error) {
			chooser, err = d.window(ctx, "--name", dialogueName)
			return err == nil, err
		})
		if err == nil {
			return chooser, nil
		}
		if ctx.Err() != nil {
			return "", err
		}
	}
	return "", errors.New("Dino opens no file dialogue: it does not know the contact as able to take files")
}

// accept clicks the last file in the conversation until the offer called name
// is no longer waiting.
func (d *desktop) accept(ctx context.Context, name string) error {
	err := poll(ctx, dinoTimeout, "wait for the offer in Dino", func(ctx context.Context) (bool, error) {
		t, found, err := d.transfer(ctx, name, true)
		return found && t.state == dinoOffered, err
	})
	if err != nil {
		return err
	}
	main, err := d.raise(ctx)
	if err != nil {
		return err
	}
	for n := range 2 * bubbleSteps {
		// 0, 0, 1, -1, 2, -2 ... steps from where it should be: the conversation
		// may still be scrolling when it is clicked first
		offset := n / 2 * bubbleStep
		if n%2 == 1 {
			offset = -offset
		}
		if err := d.click(ctx, main, bubbleAbove+offset); err != nil {
			return err
		}
		if t, found, err := d.transfer(ctx, name, true); err == nil && found && t.state != dinoOffered {
			return nil
		}
	}
	return errors.New("no click accepted the file")
}

// received waits until Dino has a file completely and returns its bytes, if it
// came with the encryption that is wanted. Dino takes files of less than
// 5,000,000 bytes by itself; click accepts others.
func (d *desktop) received(ctx context.Context, name string, encryption int, click bool) ([]byte, error) {
	if click {
		if err := d.accept(ctx, name); err != nil {
			return nil, err
		}
	}
	var t fileTransfer
	err := poll(ctx, dinoTimeout, "wait for "+name+" in Dino", func(ctx context.Context) (bool, error) {
		var found bool
		var err error
		t, found, err = d.transfer(ctx, name, true)
		switch {
		case err != nil:
			return false, err
		case !found:
			return false, errors.New("it has no such file")
		}
		return t.state == dinoComplete || t.state == dinoFailed, fmt.Errorf("its state is %d", t.state)
	})
	if err != nil {
		return nil, err
	}
	if t.state == dinoFailed {
		return nil, errors.New("Dino says that the transfer failed")
	}
	if t.encryption != encryption {
		return nil, fmt.Errorf("Dino says encryption %d, not %d", t.encryption, encryption)
	}
	content, err := os.ReadFile(filepath.Join(d.data("files"), t.path))
	if err != nil {
		return nil, fmt.Errorf("read what Dino received: %w", err)
	}
	return content, nil
}
