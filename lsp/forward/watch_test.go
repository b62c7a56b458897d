package forward_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dx-py/dx-py-ls/lsp/forward"
)

// process is a server that may stop: it reads nothing then. It answers pings,
// if it is lively, and initialize when it is told to.
type process struct {
	*io.PipeReader                // what it says
	says           *io.PipeWriter // to the editor
	heard          *io.PipeReader // what it is told
	told           *io.PipeWriter
	stopped        bool
	mu             sync.Mutex
	all            []string
}

func newProcess() *process {
	p := &process{}
	p.PipeReader, p.says = io.Pipe()
	p.heard, p.told = io.Pipe()
	return p
}

func (p *process) Write(b []byte) (int, error) { return p.told.Write(b) }

func (p *process) Close() error {
	p.told.Close()
	return p.PipeReader.Close()
}

func (p *process) Lost() error   { select {} } // who is stopped does not say
func (p *process) Stopped() bool { return p.stopped }

func frame(format string, args ...any) string {
	body := fmt.Sprintf(format, args...)
	return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

// live reads what it is told and answers what answers says, by method; nothing
// to what is not in it.
func (p *process) live(answers map[string]string) {
	decode := newDecoder(p.heard)
	for {
		var m struct {
			ID     any
			Method string
		}
		if decode(&m) != nil {
			return
		}
		p.mu.Lock()
		p.all = append(p.all, m.Method)
		p.mu.Unlock()
		if a, ok := answers[m.Method]; ok && m.ID != nil {
			id := fmt.Sprintf("%v", m.ID)
			if s, text := m.ID.(string); text {
				id = fmt.Sprintf("%q", s)
			}
			if _, err := io.WriteString(p.says, frame(`{"jsonrpc":"2.0","id":%s,%s}`, id, a)); err != nil {
				return
			}
		}
	}
}

func (p *process) methods() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.all, " ")
}

const (
	ready   = `"result":{"capabilities":{}}`
	unknown = `"error":{"code":-32601,"message":"method not found"}`
)

// editing runs a forwarder in front of processes, and an editor that has said
// initialize and asked for something.
func editing(t *testing.T, hosts []*process, then func(answers func() []string)) {
	editingWith(t, `{"jsonrpc":"2.0","id":2,"method":"textDocument/hover","params":{}}`, hosts, then)
}

// editingWith is editing for an editor that asks for ask.
func editingWith(t *testing.T, ask string, hosts []*process, then func(answers func() []string)) {
	in, editor := io.Pipe()
	screen, out := io.Pipe()
	var mu sync.Mutex
	var got []string
	go func() {
		decode := newDecoder(screen)
		for {
			var m map[string]any
			if decode(&m) != nil {
				return
			}
			mu.Lock()
			got = append(got, fmt.Sprint(m["id"], " ", m["params"]))
			mu.Unlock()
		}
	}()
	opened := 0
	done := make(chan error)
	go func() {
		done <- forward.Run(context.Background(), in, out, forward.Options{Open: func(_ context.Context, _ []string, lost int, why error) (forward.Host, error) {
			if lost != opened || lost > 0 && why != forward.ErrSilent {
				t.Errorf("host %d is asked for behind %d lost, for %v", opened, lost, why)
			}
			opened++
			return hosts[lost], nil
		}})
	}()
	say := func(format string, args ...any) {
		if _, err := io.WriteString(editor, frame(format, args...)); err != nil {
			t.Error(err)
		}
	}
	say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}`)
	synctest.Wait()
	say("%s", ask)
	then(func() []string {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return got
	})
	editor.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	out.Close()
	for _, h := range hosts {
		h.says.Close()
		h.heard.Close()
	}
}

// TestStopped has a process stop in the middle of a session: within seconds the
// next one serves, is told what was said and answers what waits; the user reads
// one line.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newProcess(), newProcess()
		first.stopped = true
		go func() { // it answers initialize, and stops
			decode := newDecoder(first.heard)
			var m any
			if decode(&m) == nil {
				_, _ = io.WriteString(first.says, frame(`{"jsonrpc":"2.0","id":1,%s}`, ready))
			}
		}()
		go second.live(map[string]string{"initialize": ready, "textDocument/hover": `"result":"second"`})
		began := time.Now()
		editing(t, []*process{first, second}, func(answers func() []string) {
			for !strings.Contains(strings.Join(answers(), "\n"), "2 ") {
				time.Sleep(time.Second) // the bubble's
				if time.Since(began) > time.Minute {
					t.Fatalf("no answer: %q", answers())
				}
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("it took %v", took)
			}
			all := strings.Join(answers(), "\n")
			if n := strings.Count(all, "does not answer"); n != 1 {
				t.Errorf("the user reads %d lines: %q", n, answers())
			}
			if got := second.methods(); got != "initialize textDocument/hover" {
				t.Errorf("the second was told %s", got)
			}
		})
	})
}

// TestBusy has a process take an hour for an answer: it is not left, stopped or
// not, as long as it gives signs of life; one that is stopped and owes nothing is
// not either.
func TestBusy(t *testing.T) {
	for name, c := range map[string]struct {
		answers map[string]string
		stopped bool
	}{
		"an hour for one request": {map[string]string{"initialize": ready, "dx-py/ping": unknown}, false},
		"a look at a wrong state": {map[string]string{"initialize": ready, "dx-py/ping": unknown}, true},
		"nothing is owed":         {map[string]string{"initialize": ready, "textDocument/hover": `"result":null`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				only := newProcess()
				only.stopped = c.stopped
				go only.live(c.answers)
				editing(t, []*process{only}, func(answers func() []string) {
					time.Sleep(time.Hour) // the bubble's
					if all := strings.Join(answers(), "\n"); strings.Contains(all, "does not answer") || strings.Contains(all, "ping") {
						t.Errorf("it was left: %q", all)
					}
				})
			})
		})
	}
}

// TestHung leaves a process that runs and says nothing, after half a minute.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newProcess(), newProcess()
		go first.live(map[string]string{"initialize": ready})
		go second.live(map[string]string{"initialize": ready, "textDocument/hover": `"result":"second"`})
		editing(t, []*process{first, second}, func(answers func() []string) {
			time.Sleep(20 * time.Second) // the bubble's
			if all := answers(); strings.Contains(strings.Join(all, "\n"), "does not answer") {
				t.Errorf("it was left too early: %q", all)
			}
			time.Sleep(20 * time.Second)
			if all := answers(); !strings.Contains(strings.Join(all, "\n"), "does not answer") {
				t.Errorf("it was not left: %q", all)
			}
		})
	})
}

// TestStoppedInRun has a process stop that owes no answer. One that has begun a
// run is left, and the editor told of the run's end; one whose run has ended, if
// before its answer, or that waits for edits, is not.
func TestStoppedInRun(t *testing.T) {
	const (
		begun   = `{"jsonrpc":"2.0","id":2,"result":{"enqueued":[{"root":"r","id":"a"}]}}`
		nothing = `{"jsonrpc":"2.0","id":2,"result":{"enqueued":[]}}`
		states  = `{"jsonrpc":"2.0","method":"dx-py/testStates","params":{"runId":"x","changes":[{"ref":{"root":"r","id":"a"},"state":%q}]}}`
		ended   = `{"jsonrpc":"2.0","method":"dx-py/runEnded","params":{"runId":"x","outcome":"passed","totals":{}}}`
		again   = `{"jsonrpc":"2.0","method":"dx-py/runRestarted","params":{"runId":"x","enqueued":[{"root":"r","id":"a"}],"cause":[]}}`
	)
	passed, enqueued := fmt.Sprintf(states, "passed"), fmt.Sprintf(states, "enqueued")
	for name, c := range map[string]struct {
		params string // of the run, besides its id
		says   []string
		left   bool
	}{
		"a test runs":                     {``, []string{begun, enqueued}, true},
		"its tests have ended":            {``, []string{begun, passed}, true},
		"it finds its tests":              {``, []string{nothing}, true},
		"it has ended":                    {``, []string{begun, enqueued, passed, ended}, false},
		"it has ended before its answer":  {``, []string{enqueued, passed, ended, begun}, false},
		"it waits for edits":              {`,"continuous":true`, []string{begun, enqueued, passed}, false},
		"it waits, answered behind tests": {`,"continuous":true`, []string{enqueued, begun, passed}, false},
		"an edit was seen":                {`,"continuous":true`, []string{begun, passed, again}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, second := newProcess(), newProcess()
				first.stopped = true
				go func() { // it answers, and stops
					decode := newDecoder(first.heard)
					says := append([]string{`{"jsonrpc":"2.0","id":1,` + ready + `}`}, c.says...)
					for n := range 2 {
						var m any
						if decode(&m) != nil {
							return
						}
						for _, text := range says[n : 1+n*len(c.says)] {
							_, _ = io.WriteString(first.says, frame("%s", text))
						}
					}
				}()
				go second.live(map[string]string{"initialize": ready})
				ask := `{"jsonrpc":"2.0","id":2,"method":"dx-py/runTests","params":{"runId":"x"` + c.params + `}}`
				editingWith(t, ask, []*process{first, second}, func(answers func() []string) {
					time.Sleep(10 * time.Second) // the bubble's
					all := strings.Join(answers(), "\n")
					if left := strings.Contains(all, "does not answer"); left != c.left {
						t.Errorf("left: %v, want %v: %q", left, c.left, all)
					}
					if lost := strings.Contains(all, "outcome:error"); lost != c.left {
						t.Errorf("the run was lost: %v, want %v: %q", lost, c.left, all)
					}
					if got := second.methods(); c.left && got != "initialize" {
						t.Errorf("the second was told %s", got)
					}
				})
			})
		})
	}
}
