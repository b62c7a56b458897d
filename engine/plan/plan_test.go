package plan

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func someItems(t *rapid.T) []Item {
	var items []Item
	for f := range rapid.IntRange(0, 8).Draw(t, "files") {
		for i := range rapid.IntRange(1, 60).Draw(t, "tests") {
			items = append(items, Item{ID: fmt.Sprintf("t%d.py::C%d::test_%d", f, i%3, i), Path: fmt.Sprintf("t%d.py", f), Group: []string{"", "", "g"}[i%3]})
		}
	}
	return items
}

// TestShardsPartition holds the shards of any tests to each test once, under
// any durations, and what must stay together to one shard.
func TestShardsPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Input{Items: someItems(t), Workers: rapid.IntRange(1, 4).Draw(t, "workers"), Dist: rapid.SampledFrom(Dists).Draw(t, "dist")}
		if rapid.Bool().Draw(t, "known") {
			seconds := rapid.SliceOfN(rapid.Float64Range(-1, 3), len(in.Items), len(in.Items)).Draw(t, "seconds")
			byID := map[string]float64{}
			for i, it := range in.Items {
				byID[it.ID] = seconds[i]
			}
			in.Seconds = func(id string) float64 { return byID[id] }
		}
		if rapid.Bool().Draw(t, "seeded") {
			seed := rapid.Int64().Draw(t, "seed")
			in.Seed = &seed
		}
		if rapid.Bool().Draw(t, "some") {
			due := rapid.SliceOfN(rapid.Bool(), len(in.Items), len(in.Items)).Draw(t, "due")
			byID := map[string]bool{}
			for i, it := range in.Items {
				byID[it.ID] = due[i]
			}
			in.Due = func(id string) bool { return byID[id] }
		}
		n := rapid.IntRange(1, 5).Draw(t, "shards")
		where := make([]int, len(in.Items))
		for k := 1; k <= n; k++ {
			in.Shard = Shard{k, n}
			p := Build(in)
			if len(p.Slots) != in.Workers {
				t.Fatalf("%d slots for %d workers", len(p.Slots), in.Workers)
			}
			if p.Count()+len(p.Left)+len(p.Unchanged) != len(in.Items) {
				t.Fatalf("%d planned, %d left and %d unchanged of %d", p.Count(), len(p.Left), len(p.Unchanged), len(in.Items))
			}
			for _, i := range p.Unchanged {
				where[i] = -1
			}
			for _, slot := range p.Slots {
				for _, b := range slot {
					for _, i := range b.Items {
						if where[i] != 0 || in.Due != nil && !in.Due(in.Items[i].ID) {
							t.Fatalf("%s is in shards %d and %d", in.Items[i].ID, where[i], k)
						}
						where[i] = k
					}
				}
			}
		}
		for i, k := range where {
			if k == 0 {
				t.Fatalf("%s is in no shard", in.Items[i].ID)
			}
		}
		for _, b := range Cut(in.Items, in.Dist) {
			for _, i := range b.Items {
				if in.Due == nil && b.Whole && where[i] != where[b.Items[0]] {
					t.Fatalf("%s and %s must stay together", in.Items[b.Items[0]].ID, in.Items[i].ID)
				}
			}
		}
	})
}

// TestDurationsDecide balances by time, not by number.
func TestDurationsDecide(t *testing.T) {
	var items []Item
	for f := range 4 {
		for i := range 10 {
			items = append(items, Item{ID: fmt.Sprintf("t%d.py::test_%d", f, i), Path: fmt.Sprintf("t%d.py", f)})
		}
	}
	slow := func(id string) float64 {
		if id[:5] == "t0.py" {
			return 1
		}
		return 0.1
	}
	p := Build(Input{Items: items, Workers: 2, Seconds: slow})
	if len(p.Slots[0]) != 1 || len(p.Slots[1]) != 3 {
		t.Errorf("the slots have %d and %d modules, want the slow one alone", len(p.Slots[0]), len(p.Slots[1]))
	}
	if p = Build(Input{Items: items, Workers: 2}); len(p.Slots[0]) != 2 {
		t.Errorf("without durations the first slot has %d modules, want 2", len(p.Slots[0]))
	}
}

// TestSeedReproduces gives the same plan for a seed, and another for another.
func TestSeedReproduces(t *testing.T) {
	items := make([]Item, 200)
	for i := range items {
		items[i] = Item{ID: fmt.Sprintf("t%d.py::test", i), Path: fmt.Sprintf("t%d.py", i)}
	}
	build := func(seed int64) string { return fmt.Sprint(Build(Input{Items: items, Workers: 3, Seed: &seed})) }
	if build(1) != build(1) {
		t.Error("two plans of one seed differ")
	}
	if build(1) == build(2) {
		t.Error("two seeds give one plan")
	}
}

// TestCut keeps together what --dist says.
func TestCut(t *testing.T) {
	var items []Item
	for _, id := range []string{"a.py::A::x[1::2]", "a.py::B::y", "b.py::x", "a.py::A::z", "b.py::y"} {
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
		for _, b := range Cut(items, dist) {
			got = append(got, b.Items)
		}
		if s := fmt.Sprint(got); s != want {
			t.Errorf("%s: %s, want %s", dist, s, want)
		}
	}
}

func TestParseShard(t *testing.T) {
	if s, err := ParseShard("2/5"); err != nil || s != (Shard{2, 5}) {
		t.Errorf("2/5 is %v, %v", s, err)
	}
	for _, s := range []string{"", "2", "0/2", "3/2", "a/b", "1/0", "-1/2"} {
		if _, err := ParseShard(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}
