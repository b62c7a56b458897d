//go:build !linux

package daemon

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/client"
)

type server struct{}

func (*server) engine(string) *engine.Engine { return nil }

type conn struct{}

func (*conn) begin() {}

// Output is the caller's standard output.
func (c *Call) Output() io.Writer { return c.Files[1] }

var errPlatform = errors.New("a resident process works on Linux only so far")

// Serve fails.
func Serve(context.Context, Options) error { return errPlatform }

// Ask fails.
func Ask(client.Place) (Status, error) { return Status{}, errPlatform }

// Stop fails.
func Stop(client.Place) error { return errPlatform }

// Start fails.
func Start(client.Place, []string, []string, *os.File) (ours bool, err error) {
	return false, errPlatform
}

// Ready does nothing.
func Ready(error) {}
