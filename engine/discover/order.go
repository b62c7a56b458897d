package discover

import (
	"path/filepath"
	"sort"
	"strconv"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// argKey identifies one value of a parameter of a scope wider than a function,
// as an item uses it (_pytest/fixtures.py ParamArgKey).
type argKey struct {
	scope pytest.Scope
	arg   string
	value string
	path  string
	class string
}

// noteKeys keeps the keys of an item with parameters of a wide scope.
func (w *world) noteKeys(it *pytest.Item, c *collector, calls []parametrization, pick []int, n int) {
	if keys := w.keysOf(it, c, calls, pick, n); len(keys) > 0 {
		w.keys[it] = keys
	}
}

// noteBare keeps, for an item whose cases are not all known, the keys that its
// cases surely have: they move other tests about.
func (w *world) noteBare(it *pytest.Item, c *collector, calls []parametrization) {
	total := 1
	var known []parametrization
	for _, p := range calls {
		if p.scope != pytest.FunctionScope {
			known = append(known, p)
			total *= len(p.sets)
		}
	}
	if len(known) == 0 || total > maxStandIns {
		return
	}
	pick := make([]int, len(known))
	for n := range total {
		rest := n
		for i := len(known) - 1; i >= 0; i-- {
			pick[i] = rest % len(known[i].sets)
			rest /= len(known[i].sets)
		}
		stand := &pytest.Item{Path: it.Path}
		w.keys[stand] = w.keysOf(stand, c, known, pick, n)
		w.standIns[it] = append(w.standIns[it], stand)
	}
}

// maxStandIns bounds what one bare item is expanded to while items are put in
// order.
const maxStandIns = 256

func (w *world) keysOf(it *pytest.Item, c *collector, calls []parametrization, pick []int, n int) []argKey {
	var keys []argKey
	for i, p := range calls {
		if p.scope == pytest.FunctionScope {
			continue
		}
		s := &p.sets[pick[i]]
		for j, a := range p.args {
			k := argKey{scope: p.scope, arg: a}
			index := pick[i]
			if !p.fixed && (!w.version.AtLeast(8, 0) || w.version.AtLeast(8, 4)) {
				index = n
			}
			k.value = "#" + strconv.Itoa(index)
			if w.version.AtLeast(9, 2) {
				if v, ok := pyeval.Key(s.values[j]); ok {
					k.value = v
				}
			}
			switch p.scope {
			case pytest.PackageScope:
				k.path = filepath.Dir(it.Path)
				if w.version.AtLeast(8, 0) && !w.version.AtLeast(8, 3) {
					k.path = it.Path
				}
			case pytest.ModuleScope:
				k.path = it.Path
			case pytest.ClassScope:
				k.path = it.Path
				if c.class != nil {
					k.class = c.id
				}
			}
			keys = append(keys, k)
		}
	}
	if !w.version.AtLeast(8, 1) {
		sort.SliceStable(keys, func(i, j int) bool { return keys[i].arg < keys[j].arg })
	}
	return keys
}

// reorder is pytest's reorder_items: items that share a value of a wide scope
// come together.
func (w *world) reorder() {
	if len(w.keys) == 0 {
		return
	}
	r := &reorderer{byItem: w.keys, byKey: map[argKey]*itemList{}}
	items := w.suite.Items
	of := map[*pytest.Item]*pytest.Item{}
	if len(w.standIns) > 0 {
		items = nil
		for _, it := range w.suite.Items {
			if len(w.standIns[it]) == 0 {
				items = append(items, it)
			}
			for _, s := range w.standIns[it] {
				items = append(items, s)
				of[s] = it
			}
		}
	}
	for _, scope := range wide {
		for _, it := range items {
			for _, k := range w.keys[it] {
				if k.scope == scope {
					r.list(k).add(it)
				}
			}
		}
	}
	w.suite.Items = w.suite.Items[:0]
	placed := map[*pytest.Item]bool{}
	for _, it := range r.at(items, 0) {
		if real := of[it]; real != nil {
			it = real // where the first of its cases stands
		}
		if !placed[it] {
			placed[it] = true
			w.suite.Items = append(w.suite.Items, it)
		}
	}
}

var wide = [...]pytest.Scope{pytest.SessionScope, pytest.PackageScope, pytest.ModuleScope, pytest.ClassScope}

type reorderer struct {
	byItem map[*pytest.Item][]argKey
	byKey  map[argKey]*itemList
}

// itemList is an ordered set of items; front puts one at the beginning.
type itemList struct {
	order map[*pytest.Item]int
	low   int
	high  int
}

func (r *reorderer) list(k argKey) *itemList {
	l := r.byKey[k]
	if l == nil {
		l = &itemList{order: map[*pytest.Item]int{}}
		r.byKey[k] = l
	}
	return l
}

func (l *itemList) add(it *pytest.Item) {
	if _, in := l.order[it]; !in {
		l.order[it] = l.high
		l.high++
	}
}

func (l *itemList) front(it *pytest.Item) {
	l.low--
	l.order[it] = l.low
}

func (l *itemList) items() []*pytest.Item {
	out := make([]*pytest.Item, 0, len(l.order))
	for it := range l.order {
		out = append(out, it)
	}
	sort.Slice(out, func(i, j int) bool { return l.order[out[i]] < l.order[out[j]] })
	return out
}

// at is reorder_items_atscope.
func (r *reorderer) at(items []*pytest.Item, level int) []*pytest.Item {
	if level == len(wide) || len(items) < 3 {
		return items
	}
	scope := wide[level]
	any := false
	in := make(map[*pytest.Item]bool, len(items))
	for _, it := range items {
		in[it] = true
		for _, k := range r.byItem[it] {
			any = any || k.scope == scope
		}
	}
	if !any {
		return r.at(items, level+1)
	}
	ignore := map[argKey]bool{}
	done := map[*pytest.Item]bool{}
	var out []*pytest.Item
	queue := &deque{}
	for _, it := range items {
		queue.back = append(queue.back, it)
	}
	for !queue.empty() {
		var plain []*pytest.Item
		inPlain := map[*pytest.Item]bool{}
		var slicing *argKey
		for !queue.empty() {
			it := queue.pop()
			if done[it] || inPlain[it] {
				continue
			}
			var last *argKey
			for i := range r.byItem[it] {
				k := &r.byItem[it][i]
				if k.scope == scope && !ignore[*k] {
					last = k
				}
			}
			if last == nil {
				plain = append(plain, it)
				inPlain[it] = true
				continue
			}
			slicing = last
			var matching []*pytest.Item
			for _, x := range r.list(*last).items() {
				if in[x] {
					matching = append(matching, x)
				}
			}
			for i := len(matching) - 1; i >= 0; i-- {
				queue.push(matching[i])
				for _, k := range r.byItem[matching[i]] {
					r.list(k).front(matching[i])
				}
			}
			break
		}
		if len(plain) > 0 {
			for _, it := range r.at(plain, level+1) {
				if !done[it] {
					done[it] = true
					out = append(out, it)
				}
			}
		}
		if slicing != nil {
			ignore[*slicing] = true
		}
	}
	return out
}

// deque gives from the front what was pushed there last, then the rest.
type deque struct {
	front []*pytest.Item // a stack
	back  []*pytest.Item
	at    int
}

func (d *deque) empty() bool          { return len(d.front) == 0 && d.at == len(d.back) }
func (d *deque) push(it *pytest.Item) { d.front = append(d.front, it) }
func (d *deque) pop() *pytest.Item {
	if k := len(d.front); k > 0 {
		it := d.front[k-1]
		d.front = d.front[:k-1]
		return it
	}
	d.at++
	return d.back[d.at-1]
}
