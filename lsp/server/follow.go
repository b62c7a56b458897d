package server

import (
	"context"
	"slices"

	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// follow keeps up with what takes longer than a keystroke may: what runs have
// taught, and what the results depend on. It never holds up diagnostics.
func (s *server) follow(ctx context.Context) {
	s.following.loop(ctx, func() {
		s.mu.Lock()
		folders := slices.Clone(s.folders)
		s.mu.Unlock()
		for _, f := range folders {
			if ctx.Err() == nil {
				s.followFolder(f)
			}
		}
	})
}

func (s *server) followFolder(f *folder) {
	if f.ran.Swap(false) {
		f.engine.Settle()
		s.mu.Lock()
		if !f.closed {
			f.ws.Apply(workspace.Update{Disk: true}) // cases that are known now
		}
		s.mu.Unlock()
		s.listAgain()
	}
}
