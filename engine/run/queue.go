package run

import (
	"slices"

	"github.com/dx-py/dx-py-ls/engine/plan"
)

// queue holds what no worker has yet: a list of batches for each slot, in
// pytest's order. A slot without work takes the end of the fullest list.
type queue struct {
	slots [][]plan.Batch
	fixed bool // nothing is stolen
	left  int
	whole bool // batches must not be split
}

// lookahead is how many items a worker holds beside the one it runs and the
// next: about 2 ms of the smallest tests (27 µs each), so that a worker does
// not wait for the engine, and little enough for the rest to be stolen.
const lookahead = 64

// newQueue takes what is planned over.
func newQueue(p *plan.Plan) *queue {
	return &queue{slots: p.Slots, fixed: p.Fixed, whole: p.Whole, left: p.Count()}
}

func (q *queue) empty() bool { return q.left == 0 }

// more reports whether a slot may be given anything later.
func (q *queue) more(slot int) bool {
	if q.fixed {
		return len(q.slots[slot]) > 0
	}
	return q.left > 0
}

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
			if q.fixed || held+len(out) > 1 { // it has an item to run and the next one
				break
			}
			q.steal(slot)
		}
		b := &q.slots[slot][0]
		n := len(b.Items)
		if !b.Whole {
			n = min(n, lookahead-held-len(out))
		}
		out = append(out, b.Items[:n]...)
		if b.Items = b.Items[n:]; len(b.Items) == 0 {
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
		if n := plan.Size(bs); n > most {
			from, most = s, n
		}
	}
	if from < 0 {
		return
	}
	bs := q.slots[from]
	if len(bs) == 1 {
		b := bs[0]
		if b.Whole || len(b.Items) < 2 {
			q.slots[slot], q.slots[from] = bs, nil
			return
		}
		half := len(b.Items) / 2
		q.slots[from] = []plan.Batch{{Items: b.Items[:half]}}
		q.slots[slot] = []plan.Batch{{Items: b.Items[half:]}}
		return
	}
	k, n := len(bs), 0
	for k > 1 && n+len(bs[k-1].Items) <= most/2 {
		k--
		n += len(bs[k].Items)
	}
	if n == 0 { // the last batch is more than half
		k--
	}
	q.slots[slot] = slices.Clone(bs[k:])
	q.slots[from] = bs[:k:k]
}

// putBack gives back what a dead worker had not run: what had to stay together
// is the rest of a batch, and those behind it.
func (q *queue) putBack(slot int, items []int) {
	if len(items) == 0 {
		return
	}
	q.slots[slot] = append([]plan.Batch{{Items: items, Whole: q.whole}}, q.slots[slot]...)
	q.left += len(items)
}
