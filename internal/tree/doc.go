// Package tree is what a set becomes on the receiver's disk. It knows no session and no
// journal: entries come in the order of the index, and what is known of earlier sessions
// comes through a [Ledger].
//
// # Where things are
//
// In the download directory there is one hidden directory for each set, which only its
// owner can use. A file is written there under a name of no meaning, synced, and gets its
// name by a rename. A folder that is new grows there as a whole tree and appears by one
// rename. One that is known changes in its place, file by file: resuming the one and
// updating the other is the same thing.
//
// What was put where is in the record of a folder, a file in the order of the index, which
// is read along with the index and written anew beside that: so the memory does not
// grow with the folder. A line is durable before the name that it tells of is made. So
// whatever has a name is in the record, and a line is believed only as far as the disk
// says the same: inode, size and time.
//
// # What nobody can do
//
// An index is checked against its order alone, by the path of the moment: no entry comes
// twice, and none in what is no directory of the set. What no honest sender says ends
// the session.
//
// Every step on the disk is one call on one base name in a directory that is open, and
// no call follows a link. Directories are opened from the one above them. So nothing that
// is done leads out of the folder, whoever exchanges what is in it meanwhile. Files are
// never written in their place, so that a second name of one keeps what it had.
//
// # Goroutines
//
// The goroutine of the session decides what is wanted, by looking, and writes data into
// files that have no name yet. A few workers sync these. One goroutine, the committer,
// alone makes and changes names, in the order of the index: whatever is ready, while the
// group before was brought to the disk, is the next group.
package tree
