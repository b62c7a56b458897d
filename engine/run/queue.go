package run

import (
	"slices"
	"strings"
)

// Dist is how tests are distributed to several workers; the names are those of
// pytest-xdist's --dist.
type Dist string

const (
	Load      Dist = "load" // modules stay together until there is nothing else to do
	LoadScope Dist = "loadscope"
	LoadFile  Dist = "loadfile"
	LoadGroup Dist = "loadgroup"
	WorkSteal Dist = "worksteal"
)

// A batch is a run of items that are handed over one behind another.
type batch struct {
	items []int
	whole bool // must not be split
}

// queue holds what no worker has yet: a list of batches for each slot, in
// pytest's order. A slot without work takes the end of the fullest list.
type queue struct {
	slots [][]batch
	left  int
	whole bool // batches must not be split
}

// lookahead is how many items a worker holds beside the one it runs and the
// next: about 2 ms of the smallest tests (27 µs each), so that a worker does
// not wait for the engine, and little enough for the rest to be stolen.
const lookahead = 64

// newQueue cuts the items at modules and gives each slot a contiguous part.
func newQueue(items []Item, slots int, dist Dist) *queue {
	batches := cut(items, dist)
	q := &queue{slots: make([][]batch, slots), left: len(items), whole: dist == LoadScope || dist == LoadFile || dist == LoadGroup}
	slot, given := 0, 0
	for _, b := range batches {
		// the slot whose share this batch's middle is in
		slot = max(slot, min(slots-1, (given+len(b.items)/2)*slots/max(len(items), 1)))
		q.slots[slot] = append(q.slots[slot], b)
		given += len(b.items)
	}
	return q
}

// cut makes batches: what must stay together by --dist, else modules.
func cut(items []Item, dist Dist) []batch {
	key := func(it Item) (string, bool) { return it.Path, false }
	switch dist {
	case LoadScope:
		key = func(it Item) (string, bool) {
			if k := strings.LastIndex(it.ID, "::"); k >= 0 {
				return it.ID[:k], true
			}
			return it.ID, true
		}
	case LoadFile:
		key = func(it Item) (string, bool) { return it.Path, true }
	case LoadGroup:
		key = func(it Item) (string, bool) {
			if it.Group != "" {
				return "\x00" + it.Group, true
			}
			return it.Path, false
		}
	}
	var out []batch
	at := map[string]int{}
	last := ""
	for i, it := range items {
		k, whole := key(it)
		b, seen := at[k]
		if !seen || !whole && k != last {
			b = len(out)
			out = append(out, batch{whole: whole})
			at[k] = b
		}
		out[b].items = append(out[b].items, i)
		last = k
	}
	return out
}

func (q *queue) empty() bool { return q.left == 0 }

// take returns items for a slot that holds some already: two at least while
// there are two, for a worker runs an item when it knows the next. A batch
// that must stay whole is taken whole.
func (q *queue) take(slot, held int) []int {
	if held > lookahead/2 {
		return nil
	}
	var out []int
	for held+len(out) < lookahead && q.left > len(out) {
		if len(q.slots[slot]) == 0 {
			if held+len(out) > 1 { // it has an item to run and the next one
				break
			}
			q.steal(slot)
		}
		b := &q.slots[slot][0]
		n := len(b.items)
		if !b.whole {
			n = min(n, lookahead-held-len(out))
		}
		out = append(out, b.items[:n]...)
		if b.items = b.items[n:]; len(b.items) == 0 {
			q.slots[slot] = q.slots[slot][1:]
		}
	}
	q.left -= len(out)
	return out
}

// steal moves about half of the fullest slot's work, from its end: whole
// batches, or half of the one batch that is left.
func (q *queue) steal(slot int) {
	from, most := -1, 0
	for s, bs := range q.slots {
		if n := size(bs); n > most {
			from, most = s, n
		}
	}
	if from < 0 {
		return
	}
	bs := q.slots[from]
	if len(bs) == 1 {
		b := bs[0]
		if b.whole || len(b.items) < 2 {
			q.slots[slot], q.slots[from] = bs, nil
			return
		}
		half := len(b.items) / 2
		q.slots[from] = []batch{{items: b.items[:half]}}
		q.slots[slot] = []batch{{items: b.items[half:]}}
		return
	}
	k, n := len(bs), 0
	for k > 1 && n+len(bs[k-1].items) <= most/2 {
		k--
		n += len(bs[k].items)
	}
	if n == 0 { // the last batch is more than half
		k--
	}
	q.slots[slot] = slices.Clone(bs[k:])
	q.slots[from] = bs[:k:k]
}

func size(bs []batch) (n int) {
	for _, b := range bs {
		n += len(b.items)
	}
	return n
}

// putBack gives back what a dead worker had not run: what had to stay together
// is the rest of a batch, and those behind it.
func (q *queue) putBack(slot int, items []int) {
	if len(items) == 0 {
		return
	}
	q.slots[slot] = append([]batch{{items: items, whole: q.whole}}, q.slots[slot]...)
	q.left += len(items)
}
