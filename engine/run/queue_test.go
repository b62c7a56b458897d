package run

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/plan"
)

// TestQueueGivesEachOnce takes, steals and gives back in random turns: every
// item is run exactly once, what must stay together goes to one worker at a
// time, and a worker without items is refused only when nothing is left.
func TestQueueGivesEachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var items []plan.Item
		for f := range rapid.IntRange(1, 8).Draw(t, "files") {
			for i := range rapid.IntRange(1, 200).Draw(t, "tests") {
				items = append(items, plan.Item{ID: fmt.Sprintf("t%d.py::C%d::test_%d", f, i%3, i), Path: fmt.Sprintf("t%d.py", f), Group: []string{"", "", "g"}[i%3]})
			}
		}
		slots := rapid.IntRange(1, 5).Draw(t, "slots")
		dist := rapid.SampledFrom(plan.Dists).Draw(t, "dist")
		cost := rapid.SampledFrom([]float64{-1, 0, 1e-5, 1e-3, 1})
		var known func(string) float64
		if rapid.Bool().Draw(t, "known") {
			known = func(string) float64 { return cost.Draw(t, "cost") }
		}
		q := newQueue(plan.Build(plan.Input{Items: items, Workers: slots, Dist: dist, Seconds: known}), items)
		held := make([][]int, slots)
		ran := make([]int, len(items))
		done := 0
		for done < len(items) {
			s := rapid.IntRange(0, slots-1).Draw(t, "slot")
			switch {
			case rapid.IntRange(0, 30).Draw(t, "dies") == 0:
				q.putBack(s, held[s])
				held[s] = nil
			case len(held[s]) == 0 || rapid.Bool().Draw(t, "take"):
				more := q.take(s, held[s])
				if len(held[s])+len(more) < 2 && !q.empty() {
					t.Fatalf("slot %d holds %d, got %d, and %d are left", s, len(held[s]), len(more), q.left)
				}
				held[s] = append(held[s], more...)
			default:
				n := rapid.IntRange(1, len(held[s])).Draw(t, "run")
				for _, i := range held[s][:n] {
					q.end(i, max(cost.Draw(t, "took"), 0))
					ran[i]++
					done++
				}
				held[s] = slices.Clone(held[s][n:])
			}
			left := 0
			for _, bs := range q.slots {
				left += plan.Size(bs)
			}
			if left != q.left {
				t.Fatalf("%d items are left, and %d are counted", left, q.left)
			}
		}
		for i, n := range ran {
			if n != 1 {
				t.Fatalf("%s ran %d times", items[i].ID, n)
			}
		}
		if !q.empty() {
			t.Fatalf("%d are left at the end", q.left)
		}
	})
}

// TestPutBackStaysTogether gives back a part of a group, when its worker has
// died in it: the rest goes to one worker.
func TestPutBackStaysTogether(t *testing.T) {
	items := make([]plan.Item, 3*lookahead)
	for i := range items {
		items[i] = plan.Item{ID: fmt.Sprint(i), Path: "a.py", Group: "g"}
	}
	q := newQueue(plan.Build(plan.Input{Items: items, Workers: 2, Dist: plan.LoadGroup}), items)
	all := q.take(0, nil)
	q.putBack(0, all[10:])
	if got := q.take(1, nil); !slices.Equal(got, all[10:]) || !q.empty() {
		t.Errorf("%d of %d items, and %d are left", len(got), len(all)-10, q.left)
	}
}

// TestWorkIsShared has workers run tests whose times are known, or are not: the
// last one ends no later than its share, the tests that it held when the others
// were done, and the ones that it and the others were given before anything was
// known of their times.
func TestWorkIsShared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var items []plan.Item
		var costs []float64
		total, dearest := 0.0, 0.0
		for f := range rapid.IntRange(1, 6).Draw(t, "files") {
			each := rapid.SampledFrom([]float64{2e-5, 1e-3, 0.05, 1}).Draw(t, "seconds")
			for range rapid.IntRange(1, 150).Draw(t, "tests") {
				items = append(items, plan.Item{ID: fmt.Sprint(len(items)), Path: fmt.Sprint(f)})
				costs = append(costs, each)
				total, dearest = total+each, max(dearest, each)
			}
		}
		in := plan.Input{Items: items, Workers: rapid.IntRange(2, 4).Draw(t, "workers")}
		if rapid.Bool().Draw(t, "known") {
			in.Seconds = func(id string) float64 {
				i, _ := strconv.Atoi(id)
				return costs[i]
			}
		}
		q := newQueue(plan.Build(in), items)
		clock := make([]float64, in.Workers)
		held := make([][]int, in.Workers)
		for done := 0; done < len(items); {
			s := -1 // whose test ends next
			for w := range held {
				held[w] = append(held[w], q.take(w, held[w])...)
				if len(held[w]) > 0 && (s < 0 || clock[w]+costs[held[w][0]] < clock[s]+costs[held[s][0]]) {
					s = w
				}
			}
			took := costs[held[s][0]]
			clock[s] += took
			q.end(held[s][0], took)
			held[s] = held[s][1:]
			done++
		}
		if last, most := slices.Max(clock), total/float64(in.Workers)+horizon+(2+horizon/guess)*dearest; last > most {
			t.Fatalf("the last worker ended after %.3f s, %.3f at most: %v", last, most, clock)
		}
	})
}
