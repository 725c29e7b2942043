// Package journal remembers transfers: what was offered to whom, how far it
// came, and how it ended. It is what makes resuming possible, and what keeps a
// file from being received twice. The rows stand in the account's state
// database (package state); none of them holds a secret of any kind.
//
// A row is found by its transfer id and direction ([Key]). The [Handle] of a
// transfer holds its lock, from [Journal.Begin] to [Handle.Release]; the lock
// dies with its process. A row that says offered or running while its lock is
// free therefore belongs to a process that is gone, and is interrupted: every
// query and every Begin puts that right before it looks.
//
// # Locks
//
// The lock of a transfer is a file in a directory beside the database. Lock
// files are opened, taken and removed only inside an immediate transaction,
// which no two processes can be in at once: so nobody ever holds the lock of a
// file that has been removed, and a look at a lock never makes a Begin fail.
// Lock files that a crash leaves behind are removed by [Open] and
// [Journal.Expire].
//
// # Order of writing, syncing and recording
//
// A commit is on the disk when it returns (synchronous=FULL), so a row is as
// true as the moment before the commit. The receiver's duty is the order:
//
//  1. Begin. The row exists before the partial file does: no partial file is
//     without a row. Lost after it: a row with 0 durable bytes, nothing else.
//  2. Write bytes, fsync the partial file (the first time its directory too),
//     then [Handle.Progress]. Lost before the commit: the file has more than
//     the row says; the rest is cut off and sent again. So the durable bytes in
//     a row never exceed what was synced.
//  3. To throw bytes away, [Handle.Rewind] first, then cut the file. Lost
//     between the two: again more in the file than in the row.
//  4. When all bytes are there and verified: fsync, then [Handle.Place] with
//     the final path, then link or rename the partial file to it, then fsync
//     the directory, then [Handle.Complete]. Place is repeated for each name
//     that is tried. Lost between Place and Complete: see below.
//  5. Complete, then the receipt, then the end of the session. Lost after
//     Complete: the next offer finds the row by [Journal.Finished] and is
//     answered with the receipt.
//
// An interrupted row that is verified tells of a loss between Place and Complete.
// The partial file settles what happened, since only its holder removes it:
//
//   - the partial file exists and Path is another file or none: the file was
//     not released. All of its bytes are durable; go on from there.
//   - the partial file exists and Path is the same file (a hard link): released
//     but for the removal of the old name. Remove it, sync, Complete.
//   - no partial file, and Path holds a file of the recorded size (and hash,
//     where there is one; a name that is known to be taken is better not
//     placed): released. Sync the directory, Complete.
//   - neither: a file system that lost both names, or somebody removed the
//     file. Rewind to 0.
//
// A directory comes as an archive, and is unpacked out of the whole and verified
// partial file into a hidden directory beside it. Place comes before that one is
// renamed to its final name; then the partial file is removed; then Complete. The
// hidden directory settles what happened: while it exists, or when Path is no
// directory, the tree was not released, and is unpacked again.
//
// A file that is written to an output has no name to be placed under. When its last
// byte went there comes [Handle.Pour]; then the partial file is removed; then comes
// Complete. So an interrupted row that is poured is done, whether the partial file is
// still there or not: remove it, Complete.
//
// A sender writes no file. Its durable bytes are what the receiver has
// confirmed, for people to see; a resume never trusts them. Its row is complete
// only after the receiver's valid receipt; lost before that commit, the next
// offer gets the receipt again.
//
// # Sets
//
// A set is one row, whose id is that of the session's transfer, and the [Argument] of each
// of its files and folders. Nothing is told of what is in a folder: what is on the disk,
// and a record beside it, do. So a set is taken up with whatever its arguments hold by
// then, takes the size of that, and is never verified as a whole. The order of 4. holds
// for each argument by itself: [Handle.UpdateArguments] says that it is being placed, and
// under which name, device and inode; then it gets the name; then its directory is synced;
// then it is placed. Lost between the two: it is, if what is at that path is the same.
// Complete comes when every argument has come to its end, good or bad.
//
// A [Folder] outlives the transfers that brought it: by it a later one knows what to bring
// up to date.
//
// # Phase and state
//
// The State of a row says what becomes of the transfer, and changes with each attempt.
// Its [Phase] says how far it has come in all of them, and goes back only where bytes
// do:
//
//	offered  ─▶ known      a second attempt: Begin, Offer
//	offered, known,
//	verified ─▶ verified   Place
//	         ─▶ poured     Pour
//	verified,
//	poured   ─▶ known      Rewind, Fail, and a Forget before Complete
//
// A crash changes nothing of it: what it says was true when it was committed, and the
// next one to work on the transfer goes on from there.
//
// # Why a row lives
//
//	offered, running        a process is at it, or has died, which is settled first
//	interrupted             to be resumed: until no byte has moved for as long as the
//	                        run keeps such transfers; 0 is for ever
//	interrupted, verified   to have its release ended, by the next receiver: until then
//	complete, failed,       for people who ask what became of it, and for peers: a receipt,
//	forgotten               or that it is over. FinishedFor after its end, or as long as
//	                        interrupted ones are kept, if that is longer
//	forgotten, with Dir     Forget was cut before everything was discarded; the next
//	or Path                 Expire does that, and the rest is as above
//
// Neither the reason nor the end is a column. The reason follows from the row, and
// a copy of it could say otherwise. The end depends on how long interrupted transfers are
// kept, an option which each run may set anew, and which is to hold for the rows that are
// there.
package journal
