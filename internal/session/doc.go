// Package session is an XMPP account online (RFC 6120, RFC 6121).
//
// A [Session] logs in to the account's server, keeps the stream alive and
// offers what the protocol packages need: iq round trips, messages, presence
// and roster, service discovery with entity capabilities (XEP-0030, XEP-0115)
// and personal eventing (XEP-0163). Payloads are *xmltree.Element both ways.
//
// It stands on the interfaces of gosrc.io/xmpp (Transport, Router, Sender and
// the stanza types) but not on that library's client, whose faults cannot be
// mended from outside: it sends passwords in the clear when it reconnects,
// believes a sender's forged attributes and can be stopped by any stranger.
// This is the only package that imports it.
//
// # Three lives
//
// A stream is one TCP connection: transport, reader and writer. A binding is a
// resource bound at the server; it holds what waits to be sent, the iq round
// trips under way and the counters of stream management (XEP-0198), and
// survives a stream that is cut off as long as the server agrees to resume it.
// The Session is what the application holds: handlers, presence and roster
// belong to no particular binding. Without [Config.Reconnect] it ends with its
// first stream; docs/session.md says what happens with it.
//
// # Goroutines
//
// All belong to the Session; [Session.Close] waits for them.
//
//	reader      decodes the stream; hands answers to the waiting [Session.IQ],
//	            everything else to the inbox, in order
//	dispatcher  takes the inbox in order and calls the handlers
//	writer      sends what the two lanes hold: control before bulk, and
//	            acknowledgements
//	supervisor  asks a silent server for a sign of life, and brings up the next
//	            stream after the end of one, or ends the Session
//
// Handlers run on the dispatcher, one at a time and in the order of the
// stream. They must not block and must not wait for an iq: an answer reaches
// the reader only, but the stanzas after it would wait.
//
// # Hostile peers
//
// Whatever a peer puts into a stanza, the stream goes on: content is a tree and
// has no wrong types, a stanza that exceeds a limit is skipped without being
// kept, and only attributes without a namespace count for from, to, id and
// type. All queues and caches are bounded by the constants in limits.go.
package session
