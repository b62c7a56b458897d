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
	"time"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/client"
)

// Call is a request, as the resident process has it.
type Call struct {
	client.Request
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

// Begin says that what follows must not be done twice: output may be written,
// tests may run.
func (c *Call) Begin() {
	if !c.begun {
		c.begun = true
		c.conn.begin()
	}
}

// Engine returns the engine of a root. It stays the server's.
func (c *Call) Engine(root string) *engine.Engine { return c.server.engine(root) }

// Options of Serve.
type Options struct {
	Place   client.Place
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
