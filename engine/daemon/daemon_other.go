//go:build !linux

package daemon

import (
	"context"
	"errors"
	"os"

	"github.com/dx-py/dx-py-ls/engine"
)

// Supported reports whether there can be a resident process here.
const Supported = false

var errPlatform = errors.New("a resident process works on Linux only so far")

const began byte = 'b'

type server struct{}

func (*server) engine(string) *engine.Engine { return nil }

type conn struct{}

func (*conn) say(byte, []byte) {}

func private(string) error { return errPlatform }

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

// Ask fails.
func Ask(Place) (Status, error) { return Status{}, errPlatform }

// Stop fails.
func Stop(Place) error { return errPlatform }

// Start fails.
func Start(Place, []string, []string, *os.File) (ours bool, err error) { return false, errPlatform }

// Ready does nothing.
func Ready(error) {}

// Serve fails.
func Serve(_ context.Context, o Options) error { return errPlatform }
