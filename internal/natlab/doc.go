// Command natlab runs jetsend between two machines behind all kinds of routers,
// with a real server between them, and prints for each pair which path the bytes
// took and how long it took to find it. It is what "make nat" runs; nothing here
// is linked into jetsend.
//
// Everything that it starts lives in namespaces of its own (mounts, network,
// processes). The network that the command itself is in is the server's machine; a
// bridge in a namespace is the internet; each home is a namespace for the machine
// and one or two for its routers, which are nftables and miniupnpd. When the
// command ends, however it ends, the kernel ends every process in there and the
// networks are gone with it.
//
// What each pair must show is written down in one place, [outlooks]: what it shows
// today, and what is aimed at. A pair that is worse than today fails the run; one
// that is better is printed as gained.
//
// It needs Linux, root, and the Debian packages that it names when one is missing.
package main
