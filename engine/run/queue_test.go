package run

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestQueueGivesEachOnce takes, steals and gives back in random turns: every
// item is run exactly once, what must stay together goes to one worker at a
// time, and a worker without items is refused only when nothing is left.
func TestQueueGivesEachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var items []Item
		for f := range rapid.IntRange(1, 8).Draw(t, "files") {
			for i := range rapid.IntRange(1, 200).Draw(t, "tests") {
				items = append(items, Item{ID: fmt.Sprintf("t%d.py::C%d::test_%d", f, i%3, i), Path: fmt.Sprintf("t%d.py", f), Group: []string{"", "", "g"}[i%3]})
			}
		}
		slots := rapid.IntRange(1, 5).Draw(t, "slots")
		dist := rapid.SampledFrom([]Dist{Load, LoadScope, LoadFile, LoadGroup}).Draw(t, "dist")
		q := newQueue(items, slots, dist)
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
				left += size(bs)
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

// TestCut keeps together what --dist says.
func TestCut(t *testing.T) {
	var items []Item
	for _, id := range []string{"a.py::A::x", "a.py::B::y", "b.py::x", "a.py::A::z", "b.py::y"} {
		items = append(items, Item{ID: id, Path: id[:4]})
	}
	items[0].Group, items[4].Group = "g", "g"
	for dist, want := range map[Dist]string{
		Load:      "[[0 1] [2] [3] [4]]",
		LoadScope: "[[0 3] [1] [2 4]]",
		LoadFile:  "[[0 1 3] [2 4]]",
		LoadGroup: "[[0 4] [1] [2] [3]]",
	} {
		var got [][]int
		for _, b := range cut(items, dist) {
			got = append(got, b.items)
		}
		if s := fmt.Sprint(got); s != want {
			t.Errorf("%s: %s, want %s", dist, s, want)
		}
	}
}

// TestPutBackStaysTogether gives back a part of a group, when its worker has
// died in it: the rest goes to one worker.
func TestPutBackStaysTogether(t *testing.T) {
	items := make([]Item, 3*lookahead)
	for i := range items {
		items[i] = Item{ID: fmt.Sprint(i), Path: "a.py", Group: "g"}
	}
	q := newQueue(items, 2, LoadGroup)
	all := q.take(0, 0)
	q.putBack(0, all[10:])
	if got := q.take(1, 0); !slices.Equal(got, all[10:]) || !q.empty() {
		t.Errorf("%d of %d items, and %d are left", len(got), len(all)-10, q.left)
	}
}
