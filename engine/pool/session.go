package pool

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/ring"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// Session is one pytest session, collected, with workers that run its items.
// It implements run.Workers.
type Session struct {
	settings Settings
	process  *process
	info     reply

	// of a session of a Pool
	keep bool
	key  string
	made time.Time
	head *os.File                 // what pytest printed while it collected
	seen map[string]file.Identity // what was read meanwhile
	racy string                   // a file that changed meanwhile
	used bool                     // a run has had it before
	// forks that wait for the next run: 2 ms less for each, and with their pages
	// touched 59 instead of 73 µs in a worker for a test of the 193
	spares []*process

	mu       sync.Mutex
	consumed bool   // the collected process itself became a worker
	runs     uint32 // workers started
	first    uint32 // the one of this run
	workers  []*worker
}

// restart starts an interpreter of the session's own and collects.
func (p *Session) restart(ctx context.Context) error {
	proc, err := start(ctx, p.settings)
	if proc != nil {
		p.process, p.consumed = proc, false
	}
	if err != nil {
		return err
	}
	return p.collect(ctx)
}

// collect has a process that has imported pytest go on until all is collected.
func (p *Session) collect(ctx context.Context) (err error) {
	s := &p.settings
	stop := context.AfterFunc(ctx, p.process.kill)
	defer stop()
	message := map[string]any{
		"op": "go", "stops": []string{"L1"}, "argv": append([]string{s.Script}, s.Args...), "args": s.Args, "dir": s.Dir, "path0": s.Path0,
	}
	var files []*os.File
	began := time.Now()
	if p.keep {
		message["keep"] = true
		if p.head, err = memory("dx-head", 0); err != nil {
			return err
		}
		null, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		defer null.Close()
		files = []*os.File{null, p.head, p.head}
	}
	if err := p.process.stage.send(message, files...); err != nil {
		return err
	}
	if p.info, err = p.process.stage.receive(); err != nil {
		return err
	}
	if p.keep {
		p.seen, p.racy = identities(p.info.Files, began)
	}
	return p.tellHead()
}

// tellHead prints what pytest printed while it collected.
func (p *Session) tellHead() error {
	if p.head == nil || p.settings.Stdout == nil {
		return nil
	}
	_, err := io.Copy(p.settings.Stdout, io.NewSectionReader(p.head, 0, 1<<40))
	return err
}

// Printed is what pytest printed while it collected, of a session of a Pool.
func (p *Session) Printed() string {
	if p.head == nil {
		return ""
	}
	b, err := io.ReadAll(io.NewSectionReader(p.head, 0, maxPrinted))
	if err != nil {
		return ""
	}
	return string(b)
}

// maxPrinted bounds what is shown of a collection that failed.
const maxPrinted = 4 << 20

// reuse makes a kept session that of another run.
func (p *Session) reuse(s Settings) {
	p.used = true
	p.settings.Stdin, p.settings.Stdout, p.settings.Stderr = s.Stdin, s.Stdout, s.Stderr
	_ = p.tellHead() // an output that cannot be written is met again by the run
}

// usable is why the session cannot serve another run, "" when it can: it does
// not share anything with another run but memory that a fork copies, and all
// it has read is on disk as it was.
func (p *Session) usable() string {
	switch {
	case !p.keep:
		return "it was not made to be kept"
	case p.info.Ended != nil:
		return "pytest has ended"
	case p.consumed:
		return p.info.Threads
	case p.info.Shared != "":
		return p.info.Shared
	case p.racy != "":
		return p.racy + " changed while it was collected"
	case time.Since(p.made) > sessionAge:
		return "it is old"
	case !p.process.alive():
		return "its process has ended"
	}
	if path, yes := changed(p.seen); yes {
		return path + " has changed"
	}
	return ""
}

// Ended is pytest's exit status when it ended without running tests.
func (p *Session) Ended() (status int, ended bool) {
	if p.info.Ended == nil {
		return 0, false
	}
	return *p.info.Ended, true
}

// Items lists what was collected, in pytest's order.
func (p *Session) Items() []run.Item {
	out := make([]run.Item, len(p.info.Items))
	for i, it := range p.info.Items {
		out[i] = run.Item{ID: it.ID, Path: it.Path, Line: it.Line, Group: it.Group}
	}
	return out
}

// Options say how the items will be run on one worker.
func (p *Session) Options() run.Options {
	return run.Options{Workers: 1, Mode: p.info.Mode, Reason: p.info.Reason, MaxFail: p.info.MaxFail}
}

// Alone is why all items have to run on one worker, "" when they need not.
func (p *Session) Alone() string {
	if p.info.Alone == "" {
		return p.info.Threads
	}
	return p.info.Alone
}

// Close ends all processes. It returns when they are gone.
func (p *Session) Close() {
	p.endWorkers()
	for _, spare := range p.spares {
		spare.end()
	}
	p.spares = nil
	switch {
	case p.process == nil:
	case p.consumed:
		p.process.wait()
	default:
		p.process.end()
	}
	if p.head != nil {
		p.head.Close()
	}
}

// prepareSpares forks the next run's workers.
func (p *Session) prepareSpares(n int) {
	for len(p.spares) < n {
		spare, err := p.process.fork(false)
		if err != nil {
			return // the next run will meet the reason
		}
		_ = spare.stage.send(map[string]any{"op": "touch"})
		p.spares = append(p.spares, spare)
	}
}

func (p *Session) endWorkers() {
	for _, w := range p.workers {
		w.close()
	}
	p.workers = nil
}

// Start makes a worker: a fork, or where threads run in the collected process
// that process itself, and for a second one another that collects again. What
// it says goes to the channel, which has to be read until Gone has come.
func (p *Session) Start(role run.Role, id, slot, runners int, to chan<- run.Signal) (run.Worker, error) {
	ch, err := newChannel()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	proc, err := p.forWorker()
	if err == nil {
		p.runs++
		if role != run.Runner {
			p.first = p.runs
		}
		message := map[string]any{
			"op": "go", "run": p.runs, "first": p.first, "role": role, "slot": slot, "runners": runners, "text": p.settings.Text, "silent": p.settings.Stdout == nil,
			"again": p.used,
		}
		files := []*os.File{ch.file, ch.toWorker, ch.toEngine, ch.out, ch.err}
		if p.keep {
			null, e := os.OpenFile(os.DevNull, os.O_RDWR, 0)
			if err = e; err == nil {
				defer null.Close()
				files = append(files, orNull(p.settings.Stdin, null), orNull(p.settings.Stdout, null), orNull(p.settings.Stderr, null))
			}
		}
		if err == nil {
			err = proc.stage.send(message, files...)
		}
	}
	if err != nil {
		if proc != nil && proc != p.process {
			proc.stage.close()
		}
		ch.Close()
		return nil, err
	}
	w := &worker{
		session: p, id: id, process: proc, ch: ch, down: ring.Down(ch.mem), up: ring.Up(ch.mem), signals: to, gone: make(chan struct{}),
	}
	p.workers = append(p.workers, w)
	go w.watch()
	w.read.Add(1)
	go w.listen()
	return w, nil
}

func orNull(f, null *os.File) *os.File {
	if f == nil {
		return null
	}
	return f
}

// forWorker returns the process that becomes a worker.
func (p *Session) forWorker() (*process, error) {
	for len(p.spares) > 0 {
		spare := p.spares[0]
		if p.spares = p.spares[1:]; spare.alive() {
			return spare, nil
		}
		spare.end()
	}
	if p.info.Threads == "" {
		return p.process.fork(false)
	}
	if p.consumed {
		p.process.wait()
		before := p.info.Items
		p.keep = false // the next one is the session's own
		if err := p.restart(context.Background()); err != nil {
			return nil, err
		}
		if p.info.Ended != nil || !slices.Equal(before, p.info.Items) {
			return nil, errors.New("a worker died, and collecting again found other tests")
		}
	}
	p.consumed = true
	return p.process, nil
}
