package body

import "os"

// disk is what writing asks of the system; tests make it fail.
type disk struct {
	create   func(path string) (*os.File, error)
	write    func(w *os.File, b []byte, off int64) (int, error)
	truncate func(w *os.File, size int64) error
	sync     func(w *os.File) error
	syncDir  func(dir string) error
	remove   func(path string) error
}

func realDisk() disk {
	return disk{
		// Bodies are what users wrote: nobody else on the machine reads them.
		create: func(path string) (*os.File, error) {
			return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		},
		write:    func(w *os.File, b []byte, off int64) (int, error) { return w.WriteAt(b, off) },
		truncate: func(w *os.File, size int64) error { return w.Truncate(size) },
		sync:     syncData,
		syncDir:  syncDir,
		remove:   os.Remove,
	}
}
