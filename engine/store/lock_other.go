//go:build !linux

package store

import "os"

// lock takes the writer's lock: a file that must not exist yet. A writer that
// was killed leaves it behind; the store is then read, and no longer written.
func lock(path string) (unlock func(), err error) {
	h, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, ErrBusy
	}
	h.Close()
	return func() { os.Remove(path) }, nil
}
