// Package client is how a process calls the resident one, package daemon. It
// needs nothing of the engine, and of the standard library little: it is used before
// the rest of the program is initialised.
package client

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Request is what a client asks for: a command line in its surroundings.
type Request struct {
	Argv  []string // without the program's name
	Vars  []string // environment, KEY=VALUE
	Dir   string
	Files [3]*os.File // standard input, output and error

	// Began is when the client was made, Asked when it connected; both in
	// nanoseconds of CLOCK_MONOTONIC.
	Began, Asked int64
}

// Declined is the error of a handler there, and of Attach, for what the client has to
// do itself. Nothing has been printed.
type Declined struct{ Reason string } // "" when there is nothing to say

func (d *Declined) Error() string { return "declined: " + d.Reason }

var (
	// ErrNone says that no resident process answers.
	ErrNone = errors.New("no resident process")
	// ErrReplaced says that the resident process was of an older program, and
	// ends.
	ErrReplaced = errors.New("the resident process is of an older program")
	// ErrSilent says that the resident process is there and does nothing: it may
	// have been stopped.
	ErrSilent = errors.New("the resident process does not answer")
	// ErrLost says that the resident process ended before it began.
	ErrLost = errors.New("the resident process has ended")
	// ErrBroken says that the resident process ended in the middle.
	ErrBroken = errors.New("the resident process has ended in the middle of the run")
	// ErrStopped says that somebody has ended the resident process on purpose.
	ErrStopped = errors.New("the resident process was stopped")
)

// Place is the folder of a user's resident process.
type Place struct{ Dir string }

// Find returns the user's place: what DX_PY_RUNTIME_DIR names, a folder in
// XDG_RUNTIME_DIR, else one in the folder of temporary files. It is made when it
// is not there. The error says why it cannot be private.
func Find(env func(string) string) (Place, error) {
	dir := env("DX_PY_RUNTIME_DIR")
	if dir == "" {
		if run := env("XDG_RUNTIME_DIR"); strings.HasPrefix(run, "/") && ours(run) { // su leaves another user's
			dir = run + "/dx-py"
		} else {
			dir = os.TempDir() + "/dx-py-" + strconv.Itoa(os.Getuid())
		}
	}
	if len(dir) > maxDir {
		return Place{}, fmt.Errorf("%s is longer than a socket's folder can be: %d of %d bytes", dir, len(dir), maxDir)
	}
	return Place{dir}, Private(dir)
}

// maxDir leaves room for the socket's name in the 108 bytes of unix(7).
const maxDir = 90

// Socket is the path of the socket.
func (p Place) Socket() string { return p.Dir + "/socket" }

// Overdue is how long a run may take to end that was to end at once: who reads
// its output may have stopped.
const Overdue = 2 * time.Second

// Ends are the signals that end a run: what ran is reported. A hangup stays
// ignored where the caller ignores it, as nohup does.
func Ends() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
}
