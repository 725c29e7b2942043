// Package portmap asks the router of this machine to let connections from outside in to one
// of its ports: by NAT-PMP (RFC 6886) and by UPnP (WANIPConnection and WANPPPConnection of an
// Internet gateway device), whichever answers.
//
// A Keeper finds out what the router can do and holds the mappings of a process. They are
// short (two minutes) and renewed as long as somebody holds them, and deleted at the end:
// what a process that is killed leaves behind, the router forgets by itself. For that reason
// a router that makes mappings only for ever is not used.
//
// Whoever answers in a local network is a stranger. Only what comes from the default
// gateway's own address is read; a description, or a place to control the router, at another
// host is refused, redirects are not followed, no name is looked up, no proxy is asked, and
// every answer is bounded. Nothing that the router wrote gets into an error or a log
// unquoted.
//
// The bytes of NAT-PMP are written here, because the library for it (jackpal/go-nat-pmp)
// cannot be stopped, asks one port only, does not compare the port that is answered with the
// one that was asked for, and has errors without codes. Of github.com/huin/goupnp the
// SOAP client and the types of the description are used; its search and its fetching of
// descriptions take any host's word. The default route is read from the system, since
// jackpal/gateway runs commands, or takes the gateway of any route for that of the default.
package portmap
