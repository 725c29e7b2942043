package xmpptest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports are drawn below the range that the kernel hands out by itself (32768
// on Linux), so that no outgoing connection takes a port between our look and
// the server's bind.
const (
	portLow  = 15000
	portHigh = 32000
	// portTries bounds the search; a machine where so many draws fail has no
	// free ports.
	portTries = 200
	// directTLSPort is the port that clients take for direct TLS when a server
	// is named by host and port.
	directTLSPort = 5223
)

// errNoPort is returned when no free loopback port was found.
var errNoPort = errors.New("no free port on loopback")

// FreePort returns a port of 127.0.0.1 that nobody listened on a moment ago, for
// a program that has to be told its port. It is nobody else's until this process ends.
func FreePort() (int, error) { return freePort("127.0.0.1") }

// reserved are the marks of the ports that were given out.
var (
	reservedMu sync.Mutex
	reserved   []net.PacketConn
)

// freePort returns a port that nobody listened on a moment ago.
func freePort(host string) (int, error) {
	for range portTries {
		port := portLow + rand.IntN(portHigh-portLow)
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		if reserve(addr) && free(addr) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("look for a port on %s: %w", host, errNoPort)
}

// freeHost returns a loopback address on which port is free. On Linux the
// whole of 127.0.0.0/8 is loopback; elsewhere there is only 127.0.0.1 and this
// usually fails.
func freeHost(port int) (string, error) {
	for range portTries {
		host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
		if free(net.JoinHostPort(host, strconv.Itoa(port))) {
			return host, nil
		}
	}
	return "", fmt.Errorf("look for a host with port %d: %w", port, errNoPort)
}

// reserve marks a port for the tests of other processes: a program may listen there
// now and then only. The mark is a socket of UDP, which nothing here speaks.
func reserve(addr string) bool {
	mark, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	reservedMu.Lock()
	defer reservedMu.Unlock()
	reserved = append(reserved, mark)
	return true
}

func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	_ = l.Close() // only a look
	return true
}
