//go:build !linux

package server

// WatchProcess relies on the pipe: it closes when the client ends.
func WatchProcess(int, <-chan struct{}, func()) {}
