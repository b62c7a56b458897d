// Package plan decides what is run where: of the collected tests those of a
// shard, in batches, dealt out to workers. It is pure: the same input gives
// the same plan.
package plan

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Item is a collected test.
type Item struct {
	ID    string
	Path  string // relative to the root, with slashes
	Line  int    // 1-based
	Group string // of xdist_group, "" for none
}

// Dist is how tests are distributed to several workers; the names are those of
// pytest-xdist's --dist.
type Dist string

const (
	Load      Dist = "load" // modules stay together until there is nothing else to do
	LoadScope Dist = "loadscope"
	LoadFile  Dist = "loadfile"
	LoadGroup Dist = "loadgroup"
	WorkSteal Dist = "worksteal"
	Each      Dist = "no" // as load: what pytest-xdist does without distribution is one worker
)

// Dists are the modes that --dist takes.
var Dists = []Dist{Load, LoadScope, LoadFile, LoadGroup, WorkSteal, Each}

// Shard is a part of the tests: the I-th of N, from 1. The zero Shard is all.
type Shard struct{ I, N int }

// ParseShard reads "I/N".
func ParseShard(s string) (Shard, error) {
	a, b, ok := strings.Cut(s, "/")
	i, err1 := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || i < 1 || n < i {
		return Shard{}, fmt.Errorf("--shard %s: it is I/N with I from 1 to N, as 2/5", s)
	}
	return Shard{i, n}, nil
}

// Input is all that decides about a Plan.
type Input struct {
	Items   []Item
	Workers int // at least 1
	Dist    Dist
	Shard   Shard
	Due     func(id string) bool // nil: all are
	// Seconds is how long a test is expected to take, negative when that is not
	// known. It may be nil. What a shard holds depends on it: it must be the
	// same for all of them.
	Seconds func(id string) float64
	// Seed shuffles the modules; the plan is followed as it is, nothing is
	// stolen. nil: pytest's order.
	Seed *int64
}

// Batch is a run of items, by their places in Input.Items, that are handed
// over one behind another.
type Batch struct {
	Items []int
	Whole bool // must not be split
}

// Plan is what each worker is given first.
type Plan struct {
	Slots [][]Batch // one for each worker
	Fixed bool      // the workers keep to it
	Whole bool      // batches must not be split
	Left  []int     // items that another shard has
	// Seconds is how long each of Input.Items is expected to take, negative where
	// that is not known; nil when nothing is known.
	Seconds []float64
	// Unchanged are items that need not run: nothing they depend on has changed
	// since they passed.
	Unchanged []int
}

// Count is the number of items in the plan.
func (p *Plan) Count() (n int) {
	for _, bs := range p.Slots {
		n += Size(bs)
	}
	return n
}

// Order lists the items of the plan as one worker runs them.
func (p *Plan) Order() []int {
	all := make([]int, 0, p.Count())
	for _, batches := range p.Slots {
		for _, b := range batches {
			all = append(all, b.Items...)
		}
	}
	return all
}

// Size is the number of items in batches.
func Size(bs []Batch) (n int) {
	for _, b := range bs {
		n += len(b.Items)
	}
	return n
}

// Build makes the plan. Each item is in exactly one batch of one slot, or left
// to another shard.
func Build(in Input) *Plan {
	p := &Plan{Whole: in.Dist == LoadScope || in.Dist == LoadFile || in.Dist == LoadGroup}
	batches := Cut(in.Items, in.Dist)
	p.Seconds = in.expected()
	weight := weights(p.Seconds)
	if in.Due != nil {
		batches = p.due(batches, in)
	}
	if in.Shard.N > 1 {
		batches, p.Left = in.Shard.of(batches, weight)
	}
	if in.Seed != nil {
		p.Fixed = true
		rnd := rand.New(rand.NewPCG(uint64(*in.Seed), 0))
		rnd.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
	}
	p.Slots = deal(batches, max(in.Workers, 1), weight)
	return p
}

// due takes what need not run out of the batches.
func (p *Plan) due(batches []Batch, in Input) []Batch {
	kept := batches[:0]
	for _, b := range batches {
		items := b.Items[:0]
		for _, i := range b.Items {
			if in.Due(in.Items[i].ID) {
				items = append(items, i)
			} else {
				p.Unchanged = append(p.Unchanged, i)
			}
		}
		if b.Items = items; len(items) > 0 {
			kept = append(kept, b)
		}
	}
	slices.Sort(p.Unchanged)
	return kept
}

// expected is Plan.Seconds.
func (in *Input) expected() []float64 {
	if in.Seconds == nil {
		return nil
	}
	out := make([]float64, len(in.Items))
	for i, it := range in.Items {
		if out[i] = in.Seconds(it.ID); out[i] >= 0 {
			out[i] += overhead
		}
	}
	return out
}

// weights returns the expected cost of each item; of those without history
// that of the mean one.
func weights(seconds []float64) func(i int) float64 {
	if seconds == nil {
		return func(int) float64 { return 1 }
	}
	sum, known := 0.0, 0
	for _, s := range seconds {
		if s >= 0 {
			sum += s
			known++
		}
	}
	mean := 1.0
	if known > 0 {
		mean = sum / float64(known)
	}
	return func(i int) float64 {
		if seconds[i] < 0 {
			return mean
		}
		return seconds[i]
	}
}

// overhead is what the smallest test costs a worker, in seconds: 27 µs.
const overhead = 30e-6

// deal gives each slot a contiguous part of about the same cost.
func deal(batches []Batch, slots int, weight func(int) float64) [][]Batch {
	total := 0.0
	for _, b := range batches {
		total += b.cost(weight)
	}
	out := make([][]Batch, slots)
	slot, given := 0, 0.0
	for _, b := range batches {
		cost := b.cost(weight)
		// the slot whose share this batch's middle is in
		slot = max(slot, min(slots-1, int((given+cost/2)/max(total, 1e-9)*float64(slots))))
		out[slot] = append(out[slot], b)
		given += cost
	}
	return out
}

func (b *Batch) cost(weight func(int) float64) (sum float64) {
	for _, i := range b.Items {
		sum += weight(i)
	}
	return sum
}

// of keeps a shard's contiguous part. A batch that need not stay whole is
// split where the part ends.
func (s Shard) of(batches []Batch, weight func(int) float64) (kept []Batch, left []int) {
	total := 0.0
	for _, b := range batches {
		total += b.cost(weight)
	}
	at := 0.0
	has := func(cost float64) bool { // of what begins here
		k := min(s.N-1, int((at+cost/2)/max(total, 1e-9)*float64(s.N)))
		at += cost
		return k == s.I-1
	}
	for _, b := range batches {
		if b.Whole {
			if has(b.cost(weight)) {
				kept = append(kept, b)
			} else {
				left = append(left, b.Items...)
			}
			continue
		}
		mine := Batch{}
		for _, i := range b.Items {
			if has(weight(i)) {
				mine.Items = append(mine.Items, i)
			} else {
				left = append(left, i)
			}
		}
		if len(mine.Items) > 0 {
			kept = append(kept, mine)
		}
	}
	slices.Sort(left)
	return kept, left
}

// Cut makes batches, in the order of their first items: what must stay
// together by --dist, else modules.
func Cut(items []Item, dist Dist) []Batch {
	key := func(it Item) (string, bool) { return it.Path, false }
	switch dist {
	case LoadScope:
		key = func(it Item) (string, bool) {
			// the id of a case may hold "::" too
			bare, _, _ := strings.Cut(it.ID, "[")
			if k := strings.LastIndex(bare, "::"); k >= 0 {
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
	var out []Batch
	at := map[string]int{}
	last := ""
	for i, it := range items {
		k, whole := key(it)
		b, seen := at[k]
		if !seen || !whole && k != last {
			b = len(out)
			out = append(out, Batch{Whole: whole})
			at[k] = b
		}
		out[b].Items = append(out[b].Items, i)
		last = k
	}
	slices.SortStableFunc(out, func(a, b Batch) int { return cmp.Compare(a.Items[0], b.Items[0]) })
	return out
}
