// Command torture shows that a transfer that was cut goes on, and that nothing
// wrong is ever released. Each round sends one file between two real jetsend
// processes over a private server and, at random moments, kills the sender, the
// receiver or the server with -9, stops one of them by a signal, or cuts, stalls,
// closes or damages the path of the bytes or a client's stream to the server. The
// transfer is then taken up by either end, until it is done. A round is good when
//
//   - exactly one file has come of it, equal to the source, and nothing hidden is
//     left beside it;
//   - no process said or returned what its contract does not allow at that point:
//     `sent` only once the file is there, `received` at most once, one terminal
//     event for each run, an exit code that fits what was done to it;
//   - it needed no help: a bounded number of tries by the documented commands.
//
// With -sets each round sends a set instead: files and folders of one `send`, or, in every
// third round, folders that were sent before and have changed since, some of them at the
// receiver too. All of it is then there as it is at the sender, nothing twice, and never a
// file that is half the old one and half the new one; what was edited is kept. Each argument
// has one terminal event in each run.
//
// Every round is made from a seed of its own, which is printed; the same seed makes
// the same plan, and, as far as timing allows, the same round.
//
// With -long it instead interrupts one large transfer at 95 % and counts the bytes
// that the rest takes on the wire. `make torture` runs both.
package main
