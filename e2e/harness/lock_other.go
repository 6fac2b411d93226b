//go:build !unix

package harness

// locked runs f. Without flock, test processes must not be started together.
func locked(_ string, f func() error) error { return f() }
