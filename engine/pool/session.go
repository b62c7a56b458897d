package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/internal/clock"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/ring"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// Session is one pytest session, collected, with workers that run its items.
// It implements run.Workers.
type Session struct {
	settings Settings
	process  *process
	kin      *kindred // the session's part of the process's
	info     reply
	template *process // what the session and its slots are forks of; nil where nobody asked for several workers
	slots    []*slot  // of this run's workers; nil where they are forks of the session

	// of a session of a Pool
	keep    bool
	key     string
	stem    *stem
	clock   clock.Clock
	made    time.Time
	settled chan struct{} // closed when the workers of the last run have ended
	head    *heads        // what pytest printed while it collected
	vars    []string      // the environment of the run
	seen    seen          // what was read meanwhile
	used    bool          // a run has had it before
	robbed  bool          // a process that it had started while it collected was ended
	calm    bool          // the garbage of its making is collected
	// forks that wait for the next run: 2 ms less for each, and with their pages
	// touched 59 instead of 73 µs in a worker for a test of the 193
	spares []*process

	common    *os.File // what the workers of a run tell each other
	bulk      *os.File // long texts of a run's reports; nil where there is no room
	chosen    []uint32 // of this run, as pairs of first and count; nil for all
	unchanged bool
	limit     time.Duration // of a test in this run; 0 for none
	doors     string        // as Ajar has it

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
	p.kin = proc.kin.session(proc.stage.pid)
	return p.collect(ctx)
}

// Printed is what pytest printed while it collected, of a session of a Pool.
func (p *Session) Printed() string {
	if p.head == nil {
		return ""
	}
	b, err := io.ReadAll(io.NewSectionReader(p.head.out.file, 0, maxPrinted))
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
	p.chosen, p.unchanged, p.limit, p.doors = nil, false, 0, ""
	p.settings.Stdin, p.settings.Stdout, p.settings.Stderr, p.vars = s.Stdin, s.Stdout, s.Stderr, s.Env
	_ = p.head.tell(s.Stdout, s.Stderr, true) // an output that cannot be written is met again by the run
}

// usable is why the session cannot serve another run, "" when it can: it does
// not share anything with another run but memory that a fork copies, and all
// it has read is on disk as it was.
func (p *Session) usable(d disk) string {
	if why := p.single(); why != "" {
		return why
	}
	if path, yes := p.seen.changed(d); yes {
		return path + " has changed"
	}
	return ""
}

// single is usable without a look at the files.
func (p *Session) single() string {
	switch {
	case !p.keep:
		return "it was not made to be kept"
	case p.info.Ended != nil:
		return "pytest has ended"
	case p.slots != nil:
		return p.Apart()
	case p.consumed && p.info.Threads != "":
		return p.info.Threads
	case p.info.Shared != "":
		return p.info.Shared
	case p.robbed:
		return "a process that it had started was ended"
	case p.seen.racy != "":
		return p.seen.racy + " changed while it was collected"
	case p.clock.Now().Sub(p.made) > sessionAge:
		return "it is old"
	case !p.process.alive():
		return "its process has ended"
	}
	return ""
}

// Choose says which items the next run has; nil is all. limit is how long a
// test may take, 0 for ever. It is for the time until Release.
// unchanged says that the others need not run: pytest is not told that they
// were deselected.
func (p *Session) Choose(pairs []uint32, unchanged bool, limit time.Duration) {
	p.chosen, p.unchanged, p.limit = pairs, unchanged, limit
}

// Ajar names the folder in which a process says that it starts others; see
// watch.Opens. It is for the time until Release.
func (p *Session) Ajar(doors string) { p.doors = doors }

// Read lists what was read, or looked for, while the tests were collected, and
// the folders that the project's own code listed. ok says that the tests are
// all that pytest has in their files, and that nobody was told of them before.
func (p *Session) Read() (files, listed []string, ok bool) {
	return p.info.Files, p.info.Listed, p.info.Whole && !p.used
}

// Whole reports whether the tests are all that pytest has in their files.
func (p *Session) Whole() bool { return p.info.Whole }

// Entire reports whether the tests are all in their files but for what names,
// marks and plugins deselect.
func (p *Session) Entire() bool { return p.info.Entire }

// Observed is what was opened by whom while the tests were collected, by each
// process that did; none when nobody looked.
func (p *Session) Observed() (seen []*run.Observed) {
	for _, info := range p.replies() {
		if info.Observed != nil {
			seen = append(seen, info.Observed)
		}
	}
	return seen
}

// replies are what was said of the session and the workers' own ones.
func (p *Session) replies() []*reply {
	all := []*reply{&p.info}
	for _, s := range p.slots {
		all = append(all, &s.info)
	}
	return all
}

// Ended is pytest's exit status when it ended without running tests.
func (p *Session) Ended() (status int, ended bool) {
	if p.info.Ended == nil {
		return 0, false
	}
	return *p.info.Ended, true
}

// Items lists what was collected, in pytest's order.
func (p *Session) Items() []plan.Item {
	out := make([]plan.Item, len(p.info.Items))
	for i, it := range p.info.Items {
		out[i] = plan.Item{ID: it.ID, Path: it.Path, Line: it.Line, Group: it.Group}
	}
	return out
}

// Options say how the items will be run on one worker.
func (p *Session) Options() run.Options {
	return run.Options{Workers: 1, Mode: p.info.Mode, Reason: p.info.Reason, MaxFail: p.info.MaxFail}
}

// Inspection is what is known of a session before it runs.
type Inspection struct {
	Tests  int
	Status int  // pytest's exit status, when Ended
	Ended  bool // pytest ended without coming to the tests
	Output string
	Mode   string              // fast, compatible
	Reason string              // of the mode
	Hooks  map[string][]string // of the test loop, with the modules beside pytest that implement them
	Alone  string              // why one worker has to run all, "" when it need not
	Apart  string              // why each worker collects for itself, "" when it need not
	Kept   string              // why a later run cannot use it, "" when it can
}

// Inspect says it.
func (p *Session) Inspect() Inspection {
	status, ended := p.Ended()
	x := Inspection{
		Tests: len(p.info.Items), Status: status, Ended: ended, Mode: p.info.Mode, Reason: p.info.Reason, Hooks: p.info.Hooks,
		Alone: p.Alone(), Apart: p.Apart(), Kept: p.usable(disk{}),
	}
	if p.head != nil {
		x.Output = tail(p.head.out.file)
	}
	return x
}

// Alone is why all items have to run on one worker, "" when they need not.
func (p *Session) Alone() string { return p.info.Alone }

// Blind is why nobody can see which functions the tests enter, "" when that
// can be seen: see Settings.Functions.
func (p *Session) Blind() string {
	if p.info.Blind == "" && p.info.Threads != "" {
		return p.info.Threads
	}
	return p.info.Blind
}

// Close ends all processes. It returns when they are gone.
func (p *Session) Close() {
	p.endWorkers()
	for _, spare := range p.spares {
		spare.end()
	}
	p.spares = nil
	for _, s := range p.slots {
		s.end()
	}
	switch {
	case p.process == nil:
	case p.consumed:
		p.process.wait()
		p.process.kin.end()
	default:
		p.process.end()
	}
	p.endTemplate()
	if p.head != nil {
		p.head.close()
	}
}

// endTemplate is for when the processes that are forks of it have ended; a
// stem's ends otherwise.
func (p *Session) endTemplate() {
	if p.template != nil && !p.keep {
		p.template.end()
	}
	p.template = nil
}

// prepareSpares forks the next run's workers.
func (p *Session) prepareSpares(n int) {
	if n > 0 && !p.calm {
		p.calm = p.process.stage.send(map[string]any{"op": "settle"}) == nil
	}
	for len(p.spares) < n {
		spare, err := p.process.fork(false)
		if err != nil {
			return // the next run will meet the reason
		}
		_ = spare.stage.send(map[string]any{"op": "touch"})
		p.spares = append(p.spares, spare)
	}
}

// Sweep ends what tests have left running, once the run is over, and says what
// that was. It waits so long for what is about to end by itself.
func (p *Session) Sweep(wait time.Duration) []string {
	members, said := p.kin.sweep(wait, func() []int {
		known := []int{p.process.stage.pid}
		for _, w := range p.workers {
			known = append(known, w.process.stage.pid)
		}
		for _, spare := range p.spares {
			known = append(known, spare.stage.pid)
		}
		if p.template != nil {
			known = append(known, p.template.stage.pid)
		}
		for _, s := range p.slots {
			known = append(known, s.process.stage.pid)
		}
		return known
	})
	for _, m := range members {
		p.robbed = p.robbed || m.Mark == p.kin.mark
	}
	return said
}

func (p *Session) endWorkers() {
	for _, w := range p.workers {
		w.close()
	}
	p.workers = nil
	p.closeCommon()
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
	proc, err := p.forWorker(role, slot)
	var own *kindred
	if err == nil {
		p.runs++
		own = p.kin.worker(p.runs, proc.stage.pid)
		if role != run.Runner {
			p.first = p.runs
		}
		message := map[string]any{
			"op": "go", "run": p.runs, "first": p.first, "role": role, "slot": slot, "runners": runners, "text": p.settings.Text, "silent": p.settings.Stdout == nil,
			"again": p.used, "environ": renewal(p.settings.Env, p.vars),
		}
		if p.chosen != nil {
			message["chosen"], message["unchanged"] = p.chosen, p.unchanged
		}
		if role == run.Controller {
			message["slots"] = len(p.slots)
		}
		if p.doors != "" {
			message["doors"] = p.doors
		}
		if p.limit > 0 {
			message["limit"], message["alarm"] = p.limit.Seconds(), alarm
		}
		files := []*os.File{ch.file, ch.toWorker, ch.toEngine, ch.out, ch.err}
		if p.keep {
			null, e := os.OpenFile(os.DevNull, os.O_RDWR, 0)
			if err = e; err == nil {
				defer null.Close()
				files = append(files, orNull(p.settings.Stdin, null), orNull(p.settings.Stdout, null), orNull(p.settings.Stderr, null))
			}
		}
		if err == nil && role != run.Solo && p.settings.Unittest == nil {
			if role != run.Runner {
				err = p.newCommon()
			}
			message["common"], files = true, append(files, p.common)
		}
		if err == nil && p.settings.Unittest == nil {
			if p.bulk == nil {
				p.bulk, _ = unnamed(0, os.TempDir()) // where pytest keeps what it captures; without, all goes through the ring
			}
			if own := another(p.bulk); own != nil {
				defer own.Close()
				message["bulk"], files = true, append(files, own)
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
		session: p, id: id, process: proc, kin: own, ch: ch, down: ring.Down(ch.mem), up: ring.Up(ch.mem), signals: to, gone: make(chan struct{}),
	}
	p.workers = append(p.workers, w)
	go w.watch()
	w.read.Add(1)
	go w.listen()
	return w, nil
}

// newCommon makes the file that the workers of a run have in common, empty.
func (p *Session) newCommon() (err error) {
	if p.common != nil {
		p.common.Close()
	}
	p.common, err = memory("dx-common", 0)
	return err
}

// closeCommon closes the files that a run's workers have in common.
func (p *Session) closeCommon() {
	for _, f := range []**os.File{&p.common, &p.bulk} {
		if *f != nil {
			(*f).Close()
			*f = nil
		}
	}
}

// another opens a file again, with an offset of its own, to write at its end;
// nil for none.
func another(f *os.File) *os.File {
	if f == nil {
		return nil
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil
	}
	return again
}

func orNull(f, null *os.File) *os.File {
	if f == nil {
		return null
	}
	return f
}

// forWorker returns the process that becomes a worker.
func (p *Session) forWorker(role run.Role, slot int) (*process, error) {
	if role == run.Runner && p.slots != nil {
		return p.forSlot(slot)
	}
	for len(p.spares) > 0 {
		spare := p.spares[0]
		if p.spares = p.spares[1:]; spare.alive() {
			return spare, nil
		}
		spare.end()
	}
	if p.info.Threads == "" && p.slots == nil && !p.consumed && !(role == run.Solo && p.brief()) {
		return p.process.fork(false)
	}
	if p.consumed && p.settings.Debugged != nil {
		return nil, ErrDebugged
	}
	if p.consumed && p.info.Threads == "" && p.stem != nil {
		if err := p.regrow(); err != nil {
			return nil, err
		}
	}
	if p.consumed {
		p.process.wait()
		p.process.kin.end()
		p.endTemplate()
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

// maxBrief is how many items a session has that runs them itself when no other
// run can have it: another fork, and the copies that it makes, take 5 ms.
const maxBrief = 200

// brief reports whether the session's process is for this run only.
func (p *Session) brief() bool {
	return p.keep && p.seen.racy != "" && len(p.info.Items) <= maxBrief && p.settings.Unittest == nil
}

// regrow makes the collected process again, when it has died as the worker of a
// brief session. What it prints was told.
func (p *Session) regrow() error {
	p.process.wait()
	p.process.kin.end()
	p.head.close()
	before := p.info.Items
	proc, err := p.stem.process.fork(true)
	if err != nil {
		p.head = nil
		return err
	}
	p.process, p.consumed = proc, false
	for fork := true; err == nil && p.info.Ended == nil && (fork || p.info.Stage != collectedStage); fork = false {
		err = p.advance(fork, true, time.Now(), nil)
	}
	if p.head != nil {
		p.head.finish()
	}
	if err == nil && (p.info.Ended != nil || !slices.Equal(before, p.info.Items)) {
		err = errors.New("a worker died, and collecting again found other tests")
	}
	return err
}
