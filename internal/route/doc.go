// Package route finds the path for the bytes of a session: SOCKS5 bytestreams,
// direct or through a proxy (XEP-0260), and in-band ones (XEP-0261) where nothing else
// is reached or allowed.
//
// A [Finder] knows what an account may offer and dial. It makes a [Route] for each
// offer and each answer, whose transport goes with the session-initiate or the
// session-accept; the caller that reads the events of the session gives them to the
// route, and [Route.Connect] returns the [Path] that both ends use. No path is found on
// anybody else's word than that of the session's peer, and none is dialled that the
// options and the account forbid.
package route
