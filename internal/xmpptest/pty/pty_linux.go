package pty

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// Open opens a pseudo-terminal: what a person types goes into control, what he sees comes out
// of it.
func Open(rows, columns int) (control, terminal *os.File, err error) {
	control, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	var unlock, number int32
	err = errors.Join(
		ioctl(control, syscall.TIOCSPTLCK, unsafe.Pointer(&unlock)),
		ioctl(control, syscall.TIOCGPTN, unsafe.Pointer(&number)))
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err == nil {
		if err = Resize(terminal, rows, columns); err != nil {
			err = errors.Join(err, terminal.Close())
		}
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open pseudo-terminal: %w", err), control.Close())
	}
	return control, terminal, nil
}

// Resize makes a terminal so large.
func Resize(f *os.File, rows, columns int) error {
	size := [4]uint16{uint16(rows), uint16(columns), 0, 0}
	return ioctl(f, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
}

// ioctl borrows the descriptor: Fd would make it a blocking one, which Close does
// not get out of a read.
func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) { _, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg)) })
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
