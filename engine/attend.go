package engine

import (
	"context"
	"sync"
)

// attend begins to watch a run's project, for an attentive engine. An engine
// has one project; it watches as the first run's configuration has it.
func (e *Engine) attend(r Request) {
	if !e.Attentive || r.Config == nil {
		return
	}
	e.attends.Lock()
	defer e.attends.Unlock()
	if e.leave != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	e.leave = func() {
		cancel()
		<-ended
	}
	go func() {
		defer close(ended)
		barrier, err := NewBarrier(Watched(r.Config, r.Env, r.Dir, r.State))
		if err != nil {
			return // runs make their sessions themselves
		}
		defer barrier.Close()
		var refreshes sync.WaitGroup
		defer refreshes.Wait()
		for {
			select {
			case <-ctx.Done():
				return
			case <-barrier.Changed():
			}
			if _, err := barrier.Pass(ctx); err != nil {
				return
			}
			refreshes.Go(func() { e.pool.Refresh(ctx) }) // the next edit gives it up
		}
	}()
}

// ignore ends the attention.
func (e *Engine) ignore() {
	e.attends.Lock()
	defer e.attends.Unlock()
	if e.leave != nil {
		e.leave()
		e.leave = nil
	}
}
