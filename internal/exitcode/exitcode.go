// Package exitcode names the exit codes of jetsend, one constant per meaning.
// They are part of the outside contract: scripts decide by them.
package exitcode

// Code is a process exit code.
type Code int

// The codes, in the order of `jetsend help exit-codes`.
const (
	// OK: done, every file is complete at the other end.
	OK Code = 0
	// Unexpected: an unexpected failure, to be reported.
	Unexpected Code = 1
	// Usage: wrong usage.
	Usage Code = 2
	// Config: configuration missing or invalid, or another receive holds the state directory.
	Config Code = 3
	// Login: login refused (password, certificate, mechanism).
	Login Code = 4
	// Unreachable: server or network not reachable, or no passwords checked there at the moment.
	Unreachable Code = 5
	// Offline: contact not online, or not within --wait.
	Offline Code = 6
	// Incapable: the contact's client cannot do what was asked.
	Incapable Code = 7
	// Declined: by the contact, by your own accept policy, or not answered in time.
	Declined Code = 8
	// Untrusted: key not trusted, changed, or none usable.
	Untrusted Code = 9
	// Integrity: tag, hash or sealed element did not match; nothing was released.
	Integrity Code = 10
	// Interrupted: `jetsend resume ID` goes on.
	Interrupted Code = 11
	// LocalFile: file problem at either end (not readable, changed, no space, exists), or a
	// directory of which not all has arrived.
	LocalFile Code = 12
	// Cancelled: by SIGINT.
	Cancelled Code = 130
	// Terminated: by SIGTERM or SIGHUP.
	Terminated Code = 143
)

// precedence is the order in which the codes of several files make up the
// exit code of the run.
var precedence = [...]Code{Cancelled, Terminated, Integrity, Untrusted, Unexpected, LocalFile, Interrupted, Declined, Incapable, Offline}

// Combine returns the exit code of a run whose files ended with codes.
func Combine(codes ...Code) Code {
	for _, p := range precedence {
		for _, c := range codes {
			if c == p {
				return c
			}
		}
	}
	for _, c := range codes {
		if c != OK {
			return c
		}
	}
	return OK
}
