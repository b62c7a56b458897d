package run

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakePool has workers that behave as Python ones do: they run an item when
// they know the next, or that there is none, and die at random.
type fakePool struct {
	items []Item
	dies  float64 // how likely a runner dies in or between two items
	seed  int64

	mu   sync.Mutex
	told map[int]int // what the controller, or the last solo, was told of each item
	ran  map[int]int
	wg   sync.WaitGroup
}

func (p *fakePool) Items() []Item { return p.items }

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

func (w *fakeWorker) Tell(kind wire.Kind, item int, _ []byte) error {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if kind == wire.Passed || kind == wire.Crash {
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
		w.pool.mu.Unlock()
		switch p := w.rnd.Float64(); {
		case w.role != Controller && p < w.pool.dies/2: // in the item
			gone.Item, gone.Phase = next, 2
			w.to <- gone
			return
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
				p.items = append(p.items, Item{ID: fmt.Sprintf("t%d.py::test_%d", f, i), Path: fmt.Sprintf("t%d.py", f)})
			}
		}
		o := Options{Workers: rapid.IntRange(1, 5).Draw(t, "workers"), Dist: rapid.SampledFrom([]Dist{Load, LoadFile}).Draw(t, "dist")}
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

// TestCancelEnds cancels runs at a random result: nothing hangs, and no item
// ends twice.
func TestCancelEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &fakePool{told: map[int]int{}, ran: map[int]int{}, seed: rapid.Int64().Draw(t, "seed"), dies: 0.05}
		for i := range rapid.IntRange(1, 300).Draw(t, "tests") {
			p.items = append(p.items, Item{ID: fmt.Sprintf("t.py::test_%d", i), Path: "t.py"})
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

// counter calls a function at each result.
type counter func()

func (f counter) Event(e Event) {
	if e.Test != nil {
		f()
	}
}
