package pool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/dx-py/dx-py-ls/engine/run"
)

// maxMessage bounds what a worker may say at once: 200,000 items are 30 MB.
const maxMessage = 1 << 30

// stage is a Python process that has stopped between two parts of a pytest
// session, seen through its control socket. One request at a time.
type stage struct {
	conn  *net.UnixConn
	pid   int
	alive *os.File // of the first stage: closing it ends all processes
}

// reply is any message of a stage.
type reply struct {
	Stage   string   `json:"stage"` // that is reached
	Items   []item   `json:"items"`
	Mode    string   `json:"mode"`
	Reason  string   `json:"reason"`
	MaxFail int      `json:"maxfail"`
	Whole   bool     `json:"whole"`   // the items are all that pytest has in their files
	Entire  bool     `json:"entire"`  // or all but for what names, marks and plugins deselect
	Threads string   `json:"threads"` // why it cannot be forked
	Alone   string   `json:"alone"`
	Apart   string   `json:"apart"`  // why each worker needs a session of its own
	Inputs  []string `json:"inputs"` // for each worker, what the session that reports gives it
	Files   []string `json:"files"`  // read while the stage was made
	Listed  []string `json:"listed"` // folders that the project's code listed then
	Shared  string   `json:"shared"` // why only one run may use it
	Own     string   `json:"own"`    // why only runs that ask for the same places may

	Blind    string        `json:"blind"`    // why functions cannot be observed, where they were to be
	Observed *run.Observed `json:"observed"` // while the stage was made

	Imports json.RawMessage   `json:"imports"` // of a session that was to record them, see Pool.hoist
	Unsafe  map[string]string `json:"unsafe"`  // why imports cannot be made ahead
	Doubt   string            `json:"doubt"`   // why the process gave up: another one may load something else

	Root    string `json:"root"`    // what the items' paths are relative to
	Learned bool   `json:"learned"` // see Pool.learn

	Hooks map[string][]string `json:"hooks"` // of the loop, with the modules beside pytest that implement them

	Forked  int    `json:"forked"`
	Status  *int   `json:"status"`
	Failed  string `json:"failed"`
	Message string `json:"message"`
	Ended   *int   `json:"ended"`
	Port    int    `json:"port"` // of debugpy
}

// item is a collected test: [id, path, line, group of xdist_group].
type item struct {
	ID, Path string
	Line     int
	Group    string
}

func (i *item) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&i.ID, &i.Path, &i.Line, &i.Group})
}

// errGone says that the process behind a stage has ended.
var errGone = errors.New("the worker process has ended")

// send writes a message; files go with it.
func (s *stage) send(message map[string]any, files ...*os.File) error {
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
	if _, _, err := s.conn.WriteMsgUnix(head, rights(files), nil); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	if _, err := s.conn.Write(b); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// receive waits for a message.
func (s *stage) receive() (r reply, err error) {
	var head [4]byte
	if _, err := io.ReadFull(s.conn, head[:]); err != nil {
		return r, fmt.Errorf("%w: %w", errGone, err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxMessage {
		return r, fmt.Errorf("a message of %d bytes, more than %d", n, maxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.conn, b); err != nil {
		return r, fmt.Errorf("%w: %w", errGone, err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("reading a worker's message: %w", err)
	}
	switch r.Failed {
	case "":
	case "debugpy":
		return r, &DebugpyError{r.Message}
	case "coverage":
		return r, &CoverageError{r.Message}
	default:
		return r, fmt.Errorf("%s: %s", r.Failed, r.Message)
	}
	return r, nil
}

// fork makes a copy of the stage, with a control socket of its own.
func (s *stage) fork(message map[string]any) (*stage, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	message["op"] = "fork"
	if err := s.send(message, theirs); err != nil {
		ours.Close()
		return nil, err
	}
	r, err := s.receive()
	if err != nil {
		ours.Close()
		return nil, err
	}
	return &stage{conn: ours, pid: r.Forked}, nil
}

// reap returns the wait status of a fork, if it has ended.
func (s *stage) reap(pid int) (status int, ended bool, err error) {
	if err := s.send(map[string]any{"op": "reap", "pid": pid}); err != nil {
		return 0, false, err
	}
	r, err := s.receive()
	if err != nil || r.Status == nil {
		return 0, false, err
	}
	return *r.Status, true, nil
}

func (s *stage) close() {
	s.conn.Close()
	if s.alive != nil {
		s.alive.Close()
	}
}
