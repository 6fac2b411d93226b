//go:build !linux

package body

import "os"

// syncData makes w durable; on macOS that means past the drive's own cache.
func syncData(w *os.File) error { return w.Sync() }
