//go:build !linux

package client

import (
	"errors"
	"os"
)

// Supported reports whether there can be a resident process here.
const Supported = false

var errPlatform = errors.New("a resident process works on Linux only so far")

// Private fails.
func Private(string) error { return errPlatform }

func ours(string) bool { return false }

// Now is 0 here.
func Now() int64 { return 0 }

// Entered is 0 here.
func Entered() int64 { return 0 }

// Attach fails.
func Attach(Place, Request, chan os.Signal) (status int, notes string, err error) {
	return 0, "", errPlatform
}

// Stream is one end of what a resident process serves.
type Stream struct{ *os.File }

// Open fails.
func Open(Place, Request) (*Stream, error) { return nil, errPlatform }

// Lost is nil here.
func (*Stream) Lost() error { return nil }

// Stopped is false here.
func (*Stream) Stopped() bool { return false }

// Ask fails.
func Ask(Place, byte) ([]byte, error) { return nil, errPlatform }
