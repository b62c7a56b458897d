package workspace

import (
	"sync"

	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// cache keeps parsed modules and expressions between the Snapshots of a process that stays.
// The command line's only Snapshot fills it once and never reads it.
type cache struct {
	mu    sync.Mutex
	mods  map[string]cached
	found map[string]*findings // in open buffers, by path

	exprs *discover.Exprs
}

type cached struct {
	id file.Identity
	m  *pysrc.Module
}

func newCache() *cache {
	return &cache{mods: map[string]cached{}, found: map[string]*findings{}, exprs: discover.NewExprs()}
}

func (c *cache) get(path string, id file.Identity) *pysrc.Module {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.mods[path]; x.id == id {
		return x.m
	}
	return nil
}

func (c *cache) put(path string, id file.Identity, m *pysrc.Module) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mods[path] = cached{id, m}
}
