package run

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakePool has workers that behave as Python ones do: they run an item when
// they know the next, or that there is none, and die at random.
type fakePool struct {
	items []plan.Item
	dies  float64 // how likely a runner dies in or between two items
	fails []int   // how often each item fails; nil for never
	seed  int64

	mu   sync.Mutex
	told map[int]int // what the controller, or the last solo, was told of each item
	ran  map[int]int
	wg   sync.WaitGroup
}

func (p *fakePool) Items() []plan.Item { return p.items }

func (p *fakePool) Sweep(time.Duration) []string { return nil }

func (p *fakePool) Start(role Role, id, slot, runners int, to chan<- Signal) (Worker, error) {
	w := &fakeWorker{pool: p, role: role, id: id, to: to, wake: make(chan struct{}, 1), rnd: rand.New(rand.NewSource(p.seed + int64(id)))}
	if role == Solo {
		p.mu.Lock()
		p.told = map[int]int{}
		p.mu.Unlock()
	}
	p.wg.Add(1)
	go w.loop()
	return w, nil
}

type fakeWorker struct {
	pool *fakePool
	role Role
	id   int
	to   chan<- Signal
	rnd  *rand.Rand
	wake chan struct{}

	mu               sync.Mutex
	queue            []int
	finished, killed bool
	stopped          bool
}

func (w *fakeWorker) change(f func()) error {
	w.mu.Lock()
	f()
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

func (w *fakeWorker) Run(pairs []uint32) error {
	return w.change(func() {
		for k := 0; k < len(pairs); k += 2 {
			for i := range pairs[k+1] {
				w.queue = append(w.queue, int(pairs[k]+i))
			}
		}
	})
}
func (w *fakeWorker) Finish() error     { return w.change(func() { w.finished = true }) }
func (w *fakeWorker) Stop(string) error { return w.change(func() { w.stopped = true }) }
func (w *fakeWorker) Signal(os.Signal) error {
	return w.change(func() { w.killed = true })
}

func (w *fakeWorker) Alarm() error                    { return nil }
func (w *fakeWorker) Running() (int, time.Time, bool) { return 0, time.Time{}, false }

func (w *fakeWorker) Tell(kind wire.Kind, item int, _ []byte) error {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if kind == wire.Passed || kind == wire.Crash || kind == wire.End {
		w.pool.told[item]++
	}
	return nil
}

func (w *fakeWorker) loop() {
	defer w.pool.wg.Done()
	gone := Signal{Worker: w.id, Kind: Gone, Item: -1, Killed: "SIGKILL"}
	for {
		w.mu.Lock()
		next, ended := -1, false
		switch {
		case w.killed:
			w.mu.Unlock()
			w.to <- gone
			return
		case len(w.queue) > 1 || len(w.queue) == 1 && w.finished:
			next, w.queue = w.queue[0], w.queue[1:]
		case w.finished || w.stopped:
			ended = true
		}
		w.mu.Unlock()
		switch {
		case ended:
			w.to <- Signal{Worker: w.id, Kind: wire.Done, Payload: []byte(`{"status":0}`)}
			w.to <- gone
			return
		case next < 0:
			<-w.wake
			continue
		}
		w.pool.mu.Lock()
		w.pool.ran[next]++
		fails := w.pool.fails != nil && w.pool.fails[next] >= w.pool.ran[next]
		w.pool.mu.Unlock()
		switch p := w.rnd.Float64(); {
		case w.role != Controller && p < w.pool.dies/2: // in the item
			gone.Item, gone.Phase = next, 2
			w.to <- gone
			return
		case fails:
			w.to <- Signal{Worker: w.id, Kind: wire.Report, Item: next, Payload: []byte(`{"when":"call","outcome":"failed"}`)}
			w.to <- Signal{Worker: w.id, Kind: wire.End, Item: next, Payload: wire.Timing{}.Append(nil)}
		default:
			w.to <- Signal{Worker: w.id, Kind: wire.Passed, Item: next, Payload: wire.Timing{}.Append(nil)}
			if p < w.pool.dies { // behind it
				w.to <- gone
				return
			}
		}
	}
}

// tests counts what a sink is told.
type tests struct {
	seen map[int]int
	bad  int
}

func (s *tests) Event(e Event) {
	if e.Test != nil {
		s.seen[e.Test.Index]++
		if e.Test.Outcome == pytest.Error {
			s.bad++
		}
	}
}

// TestEachItemOnce runs random numbers of items on random numbers of workers
// that die at random: each item starts once, ends once, and is told once to
// the process that reports.
func TestEachItemOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &fakePool{
			told: map[int]int{}, ran: map[int]int{}, seed: rapid.Int64().Draw(t, "seed"),
			dies: rapid.SampledFrom([]float64{0, 0.02, 0.3}).Draw(t, "dies"),
		}
		for f := range rapid.IntRange(0, 5).Draw(t, "files") {
			for i := range rapid.IntRange(1, 150).Draw(t, "tests") {
				p.items = append(p.items, plan.Item{ID: fmt.Sprintf("t%d.py::test_%d", f, i), Path: fmt.Sprintf("t%d.py", f)})
			}
		}
		o := Options{Workers: rapid.IntRange(1, 5).Draw(t, "workers")}
		in := plan.Input{Items: p.items, Workers: o.Workers, Dist: rapid.SampledFrom(plan.Dists).Draw(t, "dist")}
		if rapid.Bool().Draw(t, "seeded") {
			in.Seed = &p.seed
		}
		o.Plan = plan.Build(in)
		s := &tests{seen: map[int]int{}}
		status, err := Run(context.Background(), p, o, s)
		p.wg.Wait()
		if err != nil {
			// three deaths between items, one after another, end a run; then
			// nothing is told of what did not run
			if p.dies < 0.3 {
				t.Fatal(err)
			}
			return
		}
		if status != 0 {
			t.Fatalf("status %d", status)
		}
		for i := range p.items {
			if p.ran[i] != 1 || s.seen[i] != 1 {
				t.Fatalf("item %d ran %d times, and ended %d times", i, p.ran[i], s.seen[i])
			}
			if o.Workers > 1 && p.told[i] != 1 {
				t.Fatalf("item %d was told %d times", i, p.told[i])
			}
		}
	})
}

// retried is a sink that knows attempts.
type retried struct {
	attempts map[int]int
	last     map[int]pytest.Result
}

func (s *retried) Event(e Event) {
	switch {
	case e.Attempt != nil:
		s.attempts[e.Attempt.Index]++
	case e.Test != nil:
		s.last[e.Test.Index] = *e.Test
	}
}

// TestRetries runs items that fail some times: each runs until it passes or
// has no retries left, ends once, and only its end is told to the process that
// reports.
func TestRetries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &fakePool{told: map[int]int{}, ran: map[int]int{}, seed: rapid.Int64().Draw(t, "seed"), fails: []int{}}
		for i := range rapid.IntRange(1, 120).Draw(t, "tests") {
			p.items = append(p.items, plan.Item{ID: fmt.Sprintf("t.py::test_%d", i), Path: "t.py"})
			p.fails = append(p.fails, rapid.SampledFrom([]int{0, 0, 0, 1, 2, 9}).Draw(t, "fails"))
		}
		retries := rapid.IntRange(1, 3).Draw(t, "retries")
		s := &retried{attempts: map[int]int{}, last: map[int]pytest.Result{}}
		if _, err := Run(context.Background(), p, Options{Workers: rapid.IntRange(1, 3).Draw(t, "workers"), Retries: retries}, s); err != nil {
			t.Fatal(err)
		}
		p.wg.Wait()
		for i, fails := range p.fails {
			bad := fails > retries
			runs := min(fails, retries) + 1
			r := s.last[i]
			if p.ran[i] != runs || s.attempts[i] != runs-1 || r.Attempt != runs || p.told[i] != 1 {
				t.Fatalf("item %d, which fails %d times, ran %d times, with %d attempts before the %dth, told %d times", i, fails, p.ran[i], s.attempts[i], r.Attempt, p.told[i])
			}
			if r.Outcome.Bad() != bad || r.Flaky != (fails > 0 && !bad) {
				t.Fatalf("item %d, which fails %d times of %d: %v, flaky %v", i, fails, retries+1, r.Outcome, r.Flaky)
			}
		}
	})
}

// TestCancelEnds cancels runs at a random result: nothing hangs, and no item
// ends twice.
func TestCancelEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &fakePool{told: map[int]int{}, ran: map[int]int{}, seed: rapid.Int64().Draw(t, "seed"), dies: 0.05}
		for i := range rapid.IntRange(1, 300).Draw(t, "tests") {
			p.items = append(p.items, plan.Item{ID: fmt.Sprintf("t.py::test_%d", i), Path: "t.py"})
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		left := rapid.IntRange(1, len(p.items)).Draw(t, "at")
		s := &tests{seen: map[int]int{}}
		_, _ = Run(ctx, p, Options{Workers: rapid.IntRange(1, 4).Draw(t, "workers")}, s, counter(func() {
			if left--; left == 0 {
				cancel()
			}
		}))
		cancel()
		p.wg.Wait()
		for i, n := range s.seen {
			if n != 1 {
				t.Fatalf("item %d ended %d times", i, n)
			}
		}
	})
}

// deafPool has workers that do not listen to anything but SIGKILL.
type deafPool struct{ *fakePool }

func (p deafPool) Start(role Role, id, slot, runners int, to chan<- Signal) (Worker, error) {
	w, err := p.fakePool.Start(role, id, slot, runners, to)
	return deafWorker{w}, err
}

type deafWorker struct{ Worker }

func (deafWorker) Run([]uint32) error { return nil }
func (deafWorker) Finish() error      { return nil }
func (deafWorker) Stop(string) error  { return nil }
func (w deafWorker) Signal(s os.Signal) error {
	if s != os.Kill {
		return nil
	}
	return w.Worker.Signal(s)
}

// TestKill ends a cancelled run at once when nobody waits for its end.
func TestKill(t *testing.T) {
	before := grace
	grace = time.Hour
	defer func() { grace = before }()
	p := deafPool{&fakePool{told: map[int]int{}, ran: map[int]int{}, items: []plan.Item{{ID: "t.py::test_1", Path: "t.py"}}}}
	ctx, cancel := context.WithCancel(context.Background())
	kill := make(chan struct{})
	cancel()
	close(kill)
	if status, err := Run(ctx, p, Options{Workers: 1, Kill: kill}); status != exitInterrupted || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
	p.wg.Wait()
}

// counter calls a function at each result.
type counter func()

func (f counter) Event(e Event) {
	if e.Test != nil {
		f()
	}
}
