package watch

import (
	"slices"
	"strings"
	"sync"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// Inbox holds batches, as one, until somebody takes them. Its Put is a Changed
// for Options. It is safe for concurrent use.
type Inbox struct {
	wake chan struct{}

	mu   sync.Mutex
	came map[string]bool // by path: whether nothing was there when it was last taken
	bulk bool
}

// NewInbox returns an empty one.
func NewInbox() *Inbox { return &Inbox{wake: make(chan struct{}, 1), came: map[string]bool{}} }

// Put adds a batch.
func (b *Inbox) Put(batch Batch) {
	b.mu.Lock()
	for _, c := range batch.Changes {
		if _, had := b.came[c.Path]; !had {
			b.came[c.Path] = batch.Came[c.Path]
		}
	}
	if b.bulk = b.bulk || batch.Bulk || len(b.came) > stormSize; b.bulk {
		clear(b.came)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Wake is sent to when there is something to take.
func (b *Inbox) Wake() <-chan struct{} { return b.wake }

// Take empties the inbox.
func (b *Inbox) Take() Batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := Batch{Bulk: b.bulk, Came: map[string]bool{}}
	for p, came := range b.came {
		out.Changes = append(out.Changes, file.Change{Path: p})
		if came {
			out.Came[p] = true
		}
	}
	slices.SortFunc(out.Changes, func(a, b file.Change) int { return strings.Compare(a.Path, b.Path) })
	b.came, b.bulk = map[string]bool{}, false
	return out
}

// Empty reports whether nothing has changed.
func (b Batch) Empty() bool { return !b.Bulk && len(b.Changes) == 0 }
