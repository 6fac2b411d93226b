package body

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the bytes and the size of w durable, but not its times.
func syncData(w *os.File) error {
	c, err := w.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		for {
			if failed = unix.Fdatasync(int(fd)); !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("fdatasync", failed)
}
