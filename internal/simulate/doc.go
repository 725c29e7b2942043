// Package simulate runs two endpoints of package transfer against a schedule that is
// drawn from one number, the seed: their stanzas are delayed, lost, doubled and reordered
// as far as XMPP permits it, their streams are cut, their disks fail and fill up, their
// users stop them and change what is sent, and either of them crashes between any two
// steps and begins again with what was synced. The rules that have to hold all the same
// are checked:
//
//   - what is released is the source, byte for byte, and is released once;
//   - `sent` is never said of what is not released and durable;
//   - no byte of a partial file counts as durable that was not synced;
//   - no key stream encrypts two sessions;
//   - of a set, nothing is in a folder that was never sent, and when it is said to have
//     arrived, all of it is there as it was listed; a folder that is updated is in one
//     place, and what somebody has edited in it is kept;
//   - what was offered in a run ends in it, once;
//   - every run ends, and the locks of its transfers with it;
//   - when everything works again, what was interrupted is resumed and arrives.
//
// testdata/faults has patches that break one of these; `make simulate-faults` plants each
// in a copy of the tree, and says which seed finds it.
//
// Journal, inbox, OMEMO and the engine are the real ones; the server, the streams and the
// clock are made up (testing/synctest), so that hours take milliseconds. Only the tests
// import it.
package simulate
