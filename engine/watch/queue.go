package watch

import "sync"

// queue holds the paths that events name until the loop takes them. It never
// blocks who puts them in: a full queue of the kernel's loses events.
type queue struct {
	cookies *cookies
	wake    chan struct{}

	mu    sync.Mutex
	dirty map[string]bool
	lost  bool
}

func newQueue(c *cookies) *queue {
	return &queue{cookies: c, wake: make(chan struct{}, 1), dirty: map[string]bool{}}
}

// put takes an event. moved says that what is there came, went or was
// replaced, not only written to.
func (q *queue) put(path string, moved bool) {
	if q.cookies.came(path) {
		return
	}
	q.mu.Lock()
	if !q.lost {
		q.dirty[path] = q.dirty[path] || moved
	}
	full := len(q.dirty) > stormSize
	q.mu.Unlock()
	if full {
		q.lose()
		return
	}
	q.signal()
}

// lose says that there are more events than were put in, or too many to
// follow each.
func (q *queue) lose() {
	q.mu.Lock()
	q.lost = true
	clear(q.dirty)
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take empties the queue.
func (q *queue) take() (dirty map[string]bool, lost bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	dirty, lost = q.dirty, q.lost
	q.dirty, q.lost = map[string]bool{}, false
	return dirty, lost
}
