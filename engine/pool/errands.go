package pool

import "sync"

// errands are goroutines that only wait has to wait for. Unlike with a
// sync.WaitGroup, others may begin meanwhile; it waits for those too.
type errands struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when n is 0 again; nil when nobody waits
}

func (e *errands) run(do func()) {
	e.mu.Lock()
	e.n++
	e.mu.Unlock()
	go func() {
		defer e.done()
		do()
	}()
}

func (e *errands) done() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.n--; e.n == 0 && e.none != nil {
		close(e.none)
		e.none = nil
	}
}

func (e *errands) wait() {
	e.mu.Lock()
	if e.n == 0 {
		e.mu.Unlock()
		return
	}
	if e.none == nil {
		e.none = make(chan struct{})
	}
	none := e.none
	e.mu.Unlock()
	<-none
}
