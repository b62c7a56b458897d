package run

import (
	"fmt"
	"slices"
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
		q := newQueue(plan.Build(plan.Input{Items: items, Workers: slots, Dist: dist}))
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
				more := q.take(s, len(held[s]))
				if len(held[s])+len(more) < 2 && !q.empty() {
					t.Fatalf("slot %d holds %d, got %d, and %d are left", s, len(held[s]), len(more), q.left)
				}
				held[s] = append(held[s], more...)
			default:
				n := rapid.IntRange(1, len(held[s])).Draw(t, "run")
				for _, i := range held[s][:n] {
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
	q := newQueue(plan.Build(plan.Input{Items: items, Workers: 2, Dist: plan.LoadGroup}))
	all := q.take(0, 0)
	q.putBack(0, all[10:])
	if got := q.take(1, 0); !slices.Equal(got, all[10:]) || !q.empty() {
		t.Errorf("%d of %d items, and %d are left", len(got), len(all)-10, q.left)
	}
}
