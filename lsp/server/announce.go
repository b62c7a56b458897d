package server

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	"go.lsp.dev/jsonrpc2"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// flushAfter is how long a state may wait for others: README promises 50 ms.
const flushAfter = 20 * time.Millisecond

// maxOutput bounds the output that waits for a client that does not read.
const maxOutput = 8 << 20

// announcer tells the client of one run. Its methods never block: what they
// are told is sent by a goroutine, the newest state of each test only.
type announcer struct {
	s  *server
	id string
	on bool

	sending sync.Mutex // around what is sent, for its order

	mu      sync.Mutex
	waiting map[testproto.Ref]int // place in changes
	changes []testproto.Change
	items   []testproto.TestItem // that only the run has shown: sent before states
	held    int                  // who still looks for such
	output  []testproto.OutputParams
	size    int                               // of the output's texts
	lost    bool                              // some output was left out
	open    map[testproto.Ref]bool            // enqueued, without a terminal state
	cases   map[testproto.Ref]testproto.State // the worst of a function's cases
	wake    chan struct{}
	quit    chan struct{}
	done    chan struct{}
}

func newAnnouncer(s *server, id string, on bool) *announcer {
	a := &announcer{
		s: s, id: id, on: on, waiting: map[testproto.Ref]int{}, open: map[testproto.Ref]bool{}, cases: map[testproto.Ref]testproto.State{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	if on {
		go a.send()
	} else {
		close(a.done)
	}
	return a
}

// state notes the newest state of a test. A terminal one stays.
func (a *announcer) state(c testproto.Change) {
	if !a.on {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.note(c)
	a.woken()
}

func (a *announcer) note(c testproto.Change) {
	if c.State.Terminal() {
		delete(a.open, c.Ref)
		if bare := pytest.Bare(c.Ref.ID); bare != c.Ref.ID {
			f := testproto.Ref{Root: c.Ref.Root, ID: bare}
			if severity[c.State] > severity[a.cases[f]] {
				a.cases[f] = c.State
			}
		}
	} else {
		a.open[c.Ref] = true
	}
	i, ok := a.waiting[c.Ref]
	switch {
	case !ok:
		a.waiting[c.Ref] = len(a.changes)
		a.changes = append(a.changes, c)
	case c.State.Terminal() || !a.changes[i].State.Terminal():
		a.changes[i] = c
	}
}

// severity orders the states that a function may have by its cases.
var severity = map[testproto.State]int{
	testproto.Skipped: 1, testproto.XFailed: 2, testproto.XPassed: 3, testproto.Passed: 4, testproto.Cancelled: 5, testproto.Error: 6, testproto.Failed: 7,
}

// add notes tests that only the run has shown.
func (a *announcer) add(items []testproto.TestItem) {
	if !a.on || len(items) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.items = append(a.items, items...)
	a.woken()
}

// hold keeps all back until release: a state must not come before its test.
func (a *announcer) hold() (release func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.held--
		a.woken()
	}
}

// says notes output.
func (a *announcer) says(o testproto.OutputParams) {
	if !a.on || o.Text == "" {
		return
	}
	o.RunID, o.Text = a.id, crlf(o.Text)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.size+len(o.Text) > maxOutput {
		a.lost = true
		return
	}
	a.size += len(o.Text)
	a.output = append(a.output, o)
	a.woken()
}

// crlf ends lines as terminals want it.
func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

func (a *announcer) woken() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *announcer) send() {
	defer close(a.done)
	for {
		select {
		case <-a.wake:
		case <-a.quit:
			a.flush()
			return
		}
		t := time.NewTimer(flushAfter)
		select {
		case <-t.C:
		case <-a.quit:
			t.Stop()
		}
		a.flush()
	}
}

// flush sends what waits.
func (a *announcer) flush() {
	a.sending.Lock()
	defer a.sending.Unlock()
	a.flushed()
}

// flushed is flush for who holds sending.
func (a *announcer) flushed() {
	a.mu.Lock()
	if a.held > 0 {
		a.mu.Unlock()
		return
	}
	items, changes, output, lost := a.items, a.changes, a.output, a.lost
	a.items, a.changes, a.output, a.size, a.lost = nil, nil, nil, 0, false
	clear(a.waiting)
	a.mu.Unlock()
	if len(items) > 0 {
		a.s.tell(testproto.MethodDiscoveredTests, testproto.DiscoverResult{Generation: a.s.found.nextShown(), Tests: items})
	}
	if len(changes) > 0 {
		a.s.tell(testproto.MethodTestStates, testproto.StatesParams{RunID: a.id, Changes: changes})
	}
	if lost {
		output = append(output, testproto.OutputParams{RunID: a.id, Stream: "stderr", Text: "[output was left out: the client did not read it]\r\n"})
	}
	for _, o := range output {
		a.s.tell(testproto.MethodRunOutput, o)
	}
}

// end gives each open test a terminal state and ends the run for the client.
func (a *announcer) end(p testproto.EndedParams) {
	if !a.on {
		return
	}
	a.conclude()
	close(a.quit)
	<-a.done
	a.s.tell(testproto.MethodRunEnded, p)
}

// conclude gives each open test a terminal state.
func (a *announcer) conclude() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ref := range a.open {
		c := testproto.Change{Ref: ref, State: testproto.Cancelled}
		if worst, ok := a.cases[ref]; ok {
			c.State = worst
		}
		a.note(c)
	}
	a.woken()
}

// restart says that tests run again. What was told of them before stays before
// it.
func (a *announcer) restart(p testproto.RestartedParams) {
	if !a.on {
		return
	}
	a.sending.Lock()
	a.flushed()
	a.s.tell(testproto.MethodRunRestarted, p)
	a.sending.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.cases)
	for _, ref := range p.Enqueued {
		a.note(testproto.Change{Ref: ref, State: testproto.Enqueued})
	}
	a.woken()
}

// drop ends an announcer of which the client has not heard.
func (a *announcer) drop() {
	if a.on {
		close(a.quit)
		<-a.done
	}
}

// tell sends a notification that LSP does not have.
func (s *server) tell(method string, params any) {
	b, err := json.Marshal(params)
	if err != nil {
		s.log.Warn("sending a notification", "method", method, "error", err)
		return
	}
	s.tellEncoded(method, b)
}

func (s *server) tellEncoded(method string, params []byte) {
	if err := s.conn.Notify(s.base, method, jsonrpc2.RawMessage(params)); err != nil && s.base.Err() == nil {
		s.log.Warn("sending a notification", "method", method, "error", err)
	}
}
