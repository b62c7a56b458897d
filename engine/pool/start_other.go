//go:build !linux

package pool

import (
	"errors"
	"os"
	"os/exec"

	"net"
)

// Supported reports whether workers can be forked here.
const Supported = false

var errPlatform = errors.New("tests are run on Linux only so far; `pytest` runs them here")

func interpreter(Settings) (*stage, *exec.Cmd, error) { return nil, nil, errPlatform }

func socketPair() (*net.UnixConn, *os.File, error) { return nil, nil, errPlatform }

func memory(string, int) (*os.File, error) { return nil, errPlatform }

// SharedMemory says what there is of it.
func SharedMemory() (string, error) { return "", errPlatform }

func unnamed(int, ...string) (*os.File, error) { return nil, errPlatform }

// channel is a ring's mapping and its two doorbells.
type channel struct {
	file, toWorker, toEngine, out, err *os.File
	mem                                []byte
}

func newChannel() (*channel, error) { return nil, errPlatform }

// Close gives everything back.
func (c *channel) Close() {}

func describe(status int) (signal string, code int) { return "", status }

func waitStatus(st *os.ProcessState) int { return st.ExitCode() }

func rights([]*os.File) []byte { return nil }

func killGroup(int) {}

func (p *process) alive() bool { return false }

func size(*os.File) string { return "" }

func terminal(*os.File) (master, slave *os.File, err error) { return nil, nil, errPlatform }

func exit(int) (wait func()) { return nil }
