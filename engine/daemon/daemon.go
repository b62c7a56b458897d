// Package daemon is the resident process: it keeps an engine for each root of
// a user's projects, and does for its clients what they would do themselves.
//
// A client connects to a socket, sends what it was asked to do and its
// standard files, and waits for an exit status; what is printed goes straight
// to its files. The socket, its lock and nothing else lie in a folder that only
// the user can enter.
//
// Clients are served at once, each on workers of its own; how the processors
// are shared among them is the system's to decide, as between two pytests.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/dx-py/dx-py-ls/engine"
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

// Call is a request, as the resident process has it.
type Call struct {
	Request
	Got  int64         // when it had come, as Began
	Kill chan struct{} // closed when the user no longer waits for an orderly end

	server *server
	conn   *conn
	begun  bool
}

// Handler does what a call asks for and returns the exit status; notes are for
// the client. The context ends when the client is interrupted, with
// run.Interrupted as its cause, or is gone.
type Handler func(ctx context.Context, c *Call) (status int, notes string, err error)

// Declined is the error of a handler, and of Attach, for what the client has to
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

// Begin says that what follows must not be done twice: output may be written,
// tests may run.
func (c *Call) Begin() {
	if !c.begun {
		c.begun = true
		c.conn.say(began, nil)
	}
}

// Engine returns the engine of a root. It stays the server's.
func (c *Call) Engine(root string) *engine.Engine { return c.server.engine(root) }

// Overdue is how long a run may take to end that was to end at once: who reads
// its output may have stopped.
const Overdue = 2 * time.Second

// Options of Serve.
type Options struct {
	Place   Place
	Handler Handler
	Session Handler       // of streams, see Open; its Call has nothing else to begin
	Idle    time.Duration // ends when nobody has called for so long
	Log     func(format string, args ...any)
	Ready   func(error) // called once, when clients can connect or why they cannot
}

// Status is what a resident process says of itself.
type Status struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Calls   int       `json:"calls"`   // served so far
	Running int       `json:"running"` // of them, now
	Editors int       `json:"editors"` // sessions, now
	Roots   []string  `json:"roots"`   // that have an engine
}

// Place is the folder of a user's resident process.
type Place struct{ Dir string }

// Find returns the user's place: what DX_PY_RUNTIME_DIR names, a folder in
// XDG_RUNTIME_DIR, else one in the folder of temporary files. It is made when it
// is not there. The error says why it cannot be private.
func Find(env func(string) string) (Place, error) {
	dir := env("DX_PY_RUNTIME_DIR")
	if dir == "" {
		if run := env("XDG_RUNTIME_DIR"); filepath.IsAbs(run) && ours(run) { // su leaves another user's
			dir = filepath.Join(run, "dx-py")
		} else {
			dir = filepath.Join(os.TempDir(), "dx-py-"+strconv.Itoa(os.Getuid()))
		}
	}
	if len(dir) > maxDir {
		return Place{}, fmt.Errorf("%s is longer than a socket's folder can be: %d of %d bytes", dir, len(dir), maxDir)
	}
	return Place{dir}, private(dir)
}

// maxDir leaves room for the socket's name in the 108 bytes of unix(7).
const maxDir = 90

func (p Place) socket() string { return filepath.Join(p.Dir, "socket") }
func (p Place) lock() string   { return filepath.Join(p.Dir, "lock") }

// Ends are the signals that end a run: what ran is reported. A hangup stays
// ignored where the caller ignores it, as nohup does.
func Ends() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
}
