// Command interop runs jetsend against real clients and real servers: Dino and
// Gajim under virtual X displays and Libervia on a session bus, with a private
// Prosody and a private ejabberd, and prints a table of what worked. It is what
// "make interop" runs; nothing here is linked into jetsend.
//
// Everything that it starts lives in namespaces of its own (mounts, network,
// processes): a network with nothing but loopback, where every server gets an
// address with the standard ports (Dino cannot be told a port), a /tmp in
// memory, and its own /etc/hosts, /etc/resolv.conf and certificate store. When
// the command ends, however it ends, the kernel ends every process in there and
// the files are gone with it; the machine outside never sees any of it.
//
// A cell is one line of the table: a named function that gets a world (one
// server with its clients) and returns a note or an error. Cells named rig-*
// need no jetsend: they prove that servers and clients work by themselves.
//
// It needs Linux with namespaces (as root, or where unprivileged user
// namespaces are allowed) and the Debian packages that -packages names for the
// cells that are chosen.
package main
