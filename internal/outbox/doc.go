// Package outbox keeps what is to be sent later: each entry is a `send` to one contact that has
// been written down, with a private copy of what it sends where that was asked for, and a
// [Courier] brings the entries to their contacts, those of a contact in their order.
//
// # What survives what
//
// An entry is in the state file, durably, before its id is told. From its id the ids of its
// transfers follow ([Entry.Transfer]), so that a process which takes up an entry that another
// one had begun, and maybe finished, finds that transfer in the journal: it goes on with it, or
// learns that the receipt is there. Only then does the entry end. It is not sent twice, and not
// lost, whenever a process dies.
//
// Copies are in a directory of each entry, which only the user can read, and are removed when
// the entry has ended. A copy whose entry was never written down is swept up a day later.
package outbox
