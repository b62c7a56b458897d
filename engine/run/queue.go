package run

import (
	"slices"

	"github.com/dx-py/dx-py-ls/engine/plan"
)

// queue holds what no worker has yet: a list of batches for each slot, in
// pytest's order. A slot without work takes the end of the dearest list.
type queue struct {
	slots   [][]plan.Batch
	fixed   bool // nothing is stolen
	left    int
	whole   bool // batches must not be split
	items   []plan.Item
	seconds []float64 // as plan.Plan has them
	ended   map[string]pace
}

// pace is what the items of a module that ended took.
type pace struct {
	items   int
	seconds float64
}

// A worker holds, beside the item it runs and the next, so much that it does
// not wait for the engine, and so little that the rest can be stolen: up to 64
// items (2 ms of the smallest tests) that take no longer than these seconds.
const (
	lookahead = 64
	horizon   = 4e-3
)

// guess is what an item costs, in seconds, before one of its module has ended.
const guess = 1e-3

// newQueue takes what is planned over; items are those of the plan.
func newQueue(p *plan.Plan, items []plan.Item) *queue {
	return &queue{slots: p.Slots, fixed: p.Fixed, whole: p.Whole, left: p.Count(), items: items, seconds: p.Seconds, ended: map[string]pace{}}
}

func (q *queue) empty() bool { return q.left == 0 }

// more reports whether a slot may be given anything later.
func (q *queue) more(slot int) bool {
	if q.fixed {
		return len(q.slots[slot]) > 0
	}
	return q.left > 0
}

// end notes how long an item took.
func (q *queue) end(i int, seconds float64) {
	p := q.ended[q.items[i].Path]
	q.ended[q.items[i].Path] = pace{p.items + 1, p.seconds + seconds}
}

// cost is what an item is expected to take: as in the past, else as those of
// its module in this run.
func (q *queue) cost(i int) float64 {
	if q.seconds != nil && q.seconds[i] >= 0 {
		return q.seconds[i]
	}
	if p := q.ended[q.items[i].Path]; p.items > 0 {
		return p.seconds / float64(p.items)
	}
	return guess
}

func (q *queue) costs(items []int) (sum float64) {
	for _, i := range items {
		sum += q.cost(i)
	}
	return sum
}

// take returns items for a slot that holds some already: two at least while
// there are two, for a worker runs an item when it knows the next. A batch
// that must stay whole is taken whole.
func (q *queue) take(slot int, holds []int) []int {
	held := len(holds)
	if held > lookahead/2 { // mostly, and then nothing is summed up
		return nil
	}
	cost := q.costs(holds)
	if held > 1 && cost > horizon/2 {
		return nil
	}
	var out []int
	for q.left > len(out) {
		n := held + len(out)
		if n >= lookahead || n > 1 && cost >= horizon {
			break
		}
		if len(q.slots[slot]) == 0 {
			if q.fixed || n > 1 { // it has an item to run and the next one
				break
			}
			q.steal(slot)
		}
		b := &q.slots[slot][0]
		k := 1
		if b.Whole {
			k = len(b.Items)
		}
		out = append(out, b.Items[:k]...)
		cost += q.costs(b.Items[:k])
		if b.Items = b.Items[k:]; len(b.Items) == 0 {
			q.slots[slot] = q.slots[slot][1:]
		}
	}
	q.left -= len(out)
	return out
}

// steal moves about half of the dearest slot's work, from its end: whole
// batches, or half of the one batch that is left.
func (q *queue) steal(slot int) {
	from, most := -1, -1.0
	for s, bs := range q.slots {
		if sum := q.sum(bs); len(bs) > 0 && sum > most {
			from, most = s, sum
		}
	}
	if from < 0 {
		return
	}
	bs := q.slots[from]
	k, stolen := len(bs), 0.0
	for k > 1 && stolen+q.costs(bs[k-1].Items) <= most/2 {
		k--
		stolen += q.costs(bs[k].Items)
	}
	switch b := bs[len(bs)-1]; {
	case k < len(bs):
		q.slots[slot], q.slots[from] = slices.Clone(bs[k:]), bs[:k:k]
	case !b.Whole && len(b.Items) > 1: // it is more than half
		n := len(b.Items)
		for n > 1 && (n == len(b.Items) || stolen+q.cost(b.Items[n-1]) <= most/2) {
			n--
			stolen += q.cost(b.Items[n])
		}
		q.slots[slot] = []plan.Batch{{Items: b.Items[n:]}}
		q.slots[from] = append(bs[:k-1:k-1], plan.Batch{Items: b.Items[:n]})
	default:
		q.slots[slot], q.slots[from] = []plan.Batch{b}, bs[:k-1:k-1]
	}
}

func (q *queue) sum(bs []plan.Batch) (sum float64) {
	for _, b := range bs {
		sum += q.costs(b.Items)
	}
	return sum
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
