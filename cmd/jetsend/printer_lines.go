package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/dustin/go-humanize"

	"jetsend/internal/clean"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/route"
)

// These are the lines that people read about a transfer, and the parts of them.

func offerLine(e event.Offer) string {
	name, peer, size := clean.Text(e.Name), clean.Text(e.Peer), bytesText(e.Size)
	if e.Directory {
		name = "directory " + name
	}
	if e.Direction == event.Receive {
		return fmt.Sprintf("%s offers %s (%s)", peer, name, size)
	}
	return fmt.Sprintf("offering %s (%s) to %s", name, size, peer)
}

// acquaintedLine tells who is a contact now.
func acquaintedLine(e event.Acquainted) string {
	peer := clean.Text(e.Peer)
	switch {
	case !e.Verified:
		return peer + " is a contact now, by the token of an invitation: nothing is proved about its keys"
	case e.Devices == 1:
		return peer + " is a contact now, and the key of its device is verified"
	}
	return fmt.Sprintf("%s is a contact now, and the keys of %d of its devices are verified", peer, e.Devices)
}

// waitingLine tells what is waited for, and a person how to stop that.
func waitingLine(e event.Waiting, terminal bool) string {
	peer, limit := clean.Text(e.Peer), duration(e.AtMost)
	s := fmt.Sprintf("waiting up to %s for %s to be online", &limit, peer)
	if e.Online {
		s = fmt.Sprintf("waiting up to %s for a client of %s that can receive", &limit, peer)
	}
	if terminal {
		s += " (Ctrl-C stops)"
	}
	return s
}

// interruptedLine tells how far the transfer came and what happens next.
func interruptedLine(e event.Interrupted, size int64) string {
	next := "waiting for the other end"
	if e.RetryIn > 0 {
		next = "trying again in " + seconds(e.RetryIn)
	}
	return fmt.Sprintf("%s: interrupted at %s: %s, %s", clean.Text(e.Name), position(e.Bytes, size), clean.Text(e.Reason), next)
}

func resumedLine(e event.Resumed, size int64) string {
	if e.Offset == 0 {
		return clean.Text(e.Name) + ": starting over"
	}
	return fmt.Sprintf("%s: resuming at %s", clean.Text(e.Name), position(e.Offset, size))
}

// position is a place in a file, in percent where the size is known.
func position(bytes, size int64) string {
	if size > 0 {
		return percent(bytes, size)
	}
	return bytesText(bytes)
}

// seconds writes a pause, rounded up.
func seconds(s float64) string {
	const inMinutes = 120 // from here on
	if s >= inMinutes {
		return fmt.Sprintf("%.0f min", math.Ceil(s/60))
	}
	return fmt.Sprintf("%.0f s", math.Ceil(s))
}

// pathText names the path that the bytes take.
func pathText(e event.Negotiated) string {
	path := clean.Text(e.Candidate)
	if e.Transport == route.IBB {
		path = "in-band"
	}
	if e.Encryption == dialect.WordNone {
		path += ", " + unencrypted
	}
	return path
}

// unencrypted is what people read where the name of a cipher would stand.
const unencrypted = "NOT ENCRYPTED"

// cipherText names what encrypts a file.
func cipherText(encryption, cipher string) string {
	if encryption == dialect.WordNone {
		return unencrypted
	}
	return clean.Text(cipher)
}

// sentLine and receivedLine tell of a file that has arrived; how is what ongoing.how says.
func sentLine(e event.Sent, how string) string {
	s := fmt.Sprintf("sent %s to %s: %s%s", clean.Text(e.Name), clean.Text(e.Peer), how, entriesText(e.Counts, e.Renamed))
	if e.VerifiedByPeer {
		s += ", confirmed by a sealed receipt"
	} else {
		s += ", said to be complete by the contact's client, which proves less than a receipt"
	}
	return s + digest(e.SHA256)
}

func receivedLine(e event.Received, how string) string {
	where := "saved as " + clean.Text(e.Path)
	if e.Path == event.StandardOutput {
		where = "written to standard output"
	}
	if len(e.Verified) == 0 {
		where += ", confirmed by nothing but its size"
	}
	return fmt.Sprintf("received %s from %s: %s%s, %s%s%s",
		clean.Text(e.Name), clean.Text(e.Peer), how, entriesText(e.Counts, e.Renamed), where, digest(e.SHA256), described(e.Description))
}

// described is what the sender says about a file, at the end of a line.
func described(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(", %q", clean.Text(text))
}

// hookLine tells of a hook that did not end well, "" of one that did.
func hookLine(e event.Hook) string {
	switch {
	case e.Reason != "":
		return fmt.Sprintf("hook for %s: %s", clean.Text(e.Name), clean.Text(e.Reason))
	case e.Status != 0:
		return fmt.Sprintf("hook for %s: exit status %d", clean.Text(e.Name), e.Status)
	}
	return ""
}

// failedLine says why a transfer with a contact, called who, came to nothing.
func failedLine(e event.Failed, who string) string {
	name, reason := clean.Text(e.Name), clean.Text(e.Reason)
	if rest, ok := strings.CutPrefix(reason, "declined by the contact"); ok && e.Declined {
		return fmt.Sprintf("%s declined %s%s", who, name, rest)
	}
	return fmt.Sprintf("%s: %s", name, strings.Replace(reason, "the contact's ", who+"'s ", 1))
}

// refusedHere reports whether this end said no, which is no error of it.
func refusedHere(e event.Failed) bool { return e.Declined && e.Direction == event.Receive }

func digest(sha256 string) string {
	if sha256 == "" {
		return ""
	}
	return ", sha256 " + clean.Text(sha256)
}

func bytesText(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
