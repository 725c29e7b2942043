// Package xmpptest is the test harness: real servers and lying ones, all on
// loopback, all owned by the test that started them.
//
//   - [Start] and [StartServer] run a private Prosody or ejabberd in a directory
//     of its own, with its own certificate authority, accounts and a SOCKS5 proxy
//     (XEP-0065).
//   - [Tap] stands between a client and that server, sees every stanza in both
//     directions in the clear and may change, drop, double or delay it: it is
//     the server that lies.
//   - [Relay] stands between two ends of a SOCKS5 bytestream and damages it:
//     flipped bits, missing or added bytes, cut, stalled or slow connections.
//     [Redirector] puts relays in the path by rewriting the candidates that pass
//     through a tap.
//
// Nothing here is linked into the program.
package xmpptest
