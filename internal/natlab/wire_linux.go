package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// wireFrame bounds a frame: 1500 bytes and its Ethernet header.
	wireFrame = 2048
	// wireQueue is how many frames are on their way; more are lost, as on a real line.
	wireQueue = 4096
)

// wire connects two namespaces by a line that takes its time: each end is a TAP
// device, and what comes out of one goes into the other after the delay. It lies
// there until the program ends.
func wire(nsA, nameA, nsB, nameB string, delay time.Duration) error {
	a, err := openTAP(nsA, nameA)
	if err != nil {
		return err
	}
	b, err := openTAP(nsB, nameB)
	if err != nil {
		_ = a.Close()
		return err
	}
	go oneWay(a, b, delay)
	go oneWay(b, a, delay)
	return nil
}

// openTAP makes a TAP device in a namespace.
func openTAP(ns, name string) (f *os.File, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread goes with the goroutine, and its namespace with it.
		runtime.LockOSThread()
		f, err = openHere(ns, name)
	}()
	<-done
	return f, err
}

// openHere makes a TAP device, and leaves the thread in its namespace.
func openHere(ns, name string) (*os.File, error) {
	at, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return nil, fmt.Errorf("open namespace: %w", err)
	}
	defer func() { _ = at.Close() }() // it is only a name
	if err := unix.Setns(int(at.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter namespace %s: %w", ns, err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make tap device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// frame is a frame on its way.
type frame struct {
	due  time.Time
	data []byte
}

// oneWay carries frames until one of the ends is gone.
func oneWay(from, to *os.File, delay time.Duration) {
	queue := make(chan frame, wireQueue)
	go func() {
		for f := range queue {
			<-time.After(time.Until(f.due))
			_, _ = to.Write(f.data) // an end that is down takes nothing
		}
	}()
	defer close(queue)
	buf := make([]byte, wireFrame)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case queue <- frame{time.Now().Add(delay), append([]byte(nil), buf[:n]...)}:
		default:
		}
	}
}
