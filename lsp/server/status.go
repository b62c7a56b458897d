package server

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"go.lsp.dev/protocol"

	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// working counts what is under way, and orders what the client is told of it.
type working struct {
	mu     sync.Mutex
	index  int
	last   testproto.ServerStatus
	tokens map[string]func() // of progress that can be cancelled
	next   int
}

// busy tells the client whether anything is under way, where that has changed.
func (s *server) busy() {
	s.mu.Lock()
	can, trusted := s.can.status, s.trusted
	folders := append([]*folder(nil), s.folders...)
	s.mu.Unlock()
	if !can {
		return
	}
	s.aside(func(context.Context) {
		w := &s.working
		w.mu.Lock()
		defer w.mu.Unlock()
		s.runs.mu.Lock()
		now := testproto.ServerStatus{Health: "ok", Quiescent: s.runs.count() == 0 && w.index == 0}
		s.runs.mu.Unlock()
		for _, f := range folders {
			_, env, err := f.ws.Disk().Configure()
			switch {
			case err != nil:
				now.Health, now.Message = "error", err.Error()
			case env.Python == "" && now.Health == "ok":
				now.Health, now.Message = "warning", "no Python 3.8 or newer was found for "+f.path
			case !env.HasPytest && now.Health == "ok":
				now.Health, now.Message = "warning", env.Python+" has no pytest"
			}
		}
		if !trusted && now.Health == "ok" {
			now.Health, now.Message = "warning", "the workspace is not trusted yet: tests are shown and not run"
		}
		if now != w.last {
			w.last = now
			s.tell(testproto.MethodServerStatus, now)
		}
	})
}

// indexing says that tests are looked for, until the function it returns is
// called. Progress is shown when it takes long.
func (s *server) indexing() (stop func()) {
	count := func(n int) {
		s.working.mu.Lock()
		s.working.index += n
		s.working.mu.Unlock()
		s.busy()
	}
	count(1)
	var mu sync.Mutex
	var p *progress
	ended := false
	t := time.AfterFunc(indexingShown, func() {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			p = s.begin(nil, "Finding tests", nil)
		}
	})
	return func() {
		t.Stop()
		mu.Lock()
		ended = true
		mu.Unlock()
		p.end("")
		count(-1)
	}
}

// indexingShown is how long looking for tests may take in silence: what a
// person does not see as waiting is about 0.2 s.
const indexingShown = 200 * time.Millisecond

// progress is one $/progress. Its methods never block, and do nothing on nil.
type progress struct {
	s     *server
	token protocol.ProgressToken
	title string

	mu          sync.Mutex
	done, total int
	quit        chan string
	ended       chan struct{}
}

// begin shows progress: with the client's token, or with one of ours where it
// shows such. cancel is called when the user wants it to end.
func (s *server) begin(token protocol.ProgressToken, title string, cancel func()) *progress {
	s.mu.Lock()
	can := s.can.progress
	s.mu.Unlock()
	if token == nil && !can {
		return nil
	}
	w := &s.working
	p := &progress{s: s, token: token, title: title, quit: make(chan string, 1), ended: make(chan struct{})}
	ours := token == nil
	w.mu.Lock()
	if ours {
		w.next++
		p.token = protocol.String(fmt.Sprintf("dx-py-%d", w.next))
	}
	if w.tokens == nil {
		w.tokens = map[string]func(){}
	}
	key := fmt.Sprint(p.token)
	if cancel != nil {
		w.tokens[key] = cancel
	}
	w.mu.Unlock()
	started := s.aside(func(ctx context.Context) {
		defer close(p.ended)
		defer func() {
			w.mu.Lock()
			delete(w.tokens, key)
			w.mu.Unlock()
		}()
		if ours {
			if err := s.client.WorkDoneProgressCreate(ctx, &protocol.WorkDoneProgressCreateParams{Token: p.token}); err != nil {
				return
			}
		}
		p.loop(ctx, cancel != nil)
	})
	if !started {
		close(p.ended)
	}
	return p
}

// reportEvery is how often progress is sent at most.
const reportEvery = 100 * time.Millisecond

func (p *progress) loop(ctx context.Context, cancellable bool) {
	p.send(ctx, map[string]any{"kind": "begin", "title": p.title, "cancellable": cancellable, "percentage": 0})
	t := time.NewTicker(reportEvery)
	defer t.Stop()
	last := 0
	for {
		select {
		case message := <-p.quit:
			end := map[string]any{"kind": "end"}
			if message != "" {
				end["message"] = message
			}
			p.send(ctx, end)
			return
		case <-ctx.Done():
			return
		case <-t.C:
			p.mu.Lock()
			done, total := p.done, p.total
			p.mu.Unlock()
			if done != last && total > 0 {
				last = done
				p.send(ctx, map[string]any{"kind": "report", "message": fmt.Sprintf("%d/%d", done, total), "percentage": done * 100 / total})
			}
		}
	}
}

func (p *progress) send(ctx context.Context, value map[string]any) {
	b, err := json.Marshal(value)
	if err == nil {
		err = p.s.client.Progress(ctx, &protocol.ProgressParams{Token: p.token, Value: b})
	}
	if err != nil && ctx.Err() == nil {
		p.s.log.Warn("sending progress", "error", err)
	}
}

func (p *progress) report(done, total int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.done, p.total = done, total
	p.mu.Unlock()
}

func (p *progress) end(message string) {
	if p != nil {
		p.quit <- message
	}
}

// WorkDoneProgressCancel cancels what a token stands for.
func (s *server) WorkDoneProgressCancel(_ context.Context, p *protocol.WorkDoneProgressCancelParams) error {
	s.working.mu.Lock()
	cancel := s.working.tokens[fmt.Sprint(p.Token)]
	s.working.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return nil
}
