package server

import (
	"context"
	"sync"
)

// pending is work that is due again and again, for one goroutine: a request
// stands for all that came before it is taken up.
type pending struct {
	mu      sync.Mutex
	wanted  int64
	done    int64         // wanted, when the work that has ended began
	changed chan struct{} // closed and replaced when work ends
	dirty   chan struct{} // one slot
}

func newPending() pending {
	return pending{changed: make(chan struct{}), dirty: make(chan struct{}, 1)}
}

// due asks for the work. It never blocks.
func (p *pending) due() {
	p.mu.Lock()
	p.wanted++
	p.mu.Unlock()
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

// loop does the work whenever it is due, until ctx ends.
func (p *pending) loop(ctx context.Context, work func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.dirty:
		}
		p.mu.Lock()
		wanted := p.wanted
		p.mu.Unlock()
		work()
		p.mu.Lock()
		p.done = wanted
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
}

// wait returns when what is due by now is done, or a context ends.
func (p *pending) wait(ctx, base context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	want := p.wanted
	for p.done < want && ctx.Err() == nil && base.Err() == nil {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		case <-base.Done():
		}
		p.mu.Lock()
	}
}
