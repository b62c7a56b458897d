package history_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/history"
)

func anyKnown(t *rapid.T, when int) history.Known {
	set := func(label string) map[string]bool {
		return maps.Collect(func(yield func(string, bool) bool) {
			for _, n := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 4).Draw(t, label) {
				yield(n, true)
			}
		})
	}
	k := history.Known{
		Env: rapid.SampledFrom([]string{"x", "x", "y"}).Draw(t, "env"), Selection: rapid.SampledFrom([]string{"", "", "-k a"}).Draw(t, "selection"),
		When: time.Unix(int64(when), 0).UTC(), State: history.State{}, Passed: set("passed"), Failed: set("failed"), Whole: set("whole"),
	}
	for n := range k.Failed {
		delete(k.Passed, n)
	}
	for p := range set("files") {
		k.State[p] = rapid.SampledFrom([]string{"1", "2", ""}).Draw(t, "digest")
	}
	return k
}

// merged is what was kept of a state with what another run says of it.
func merged(k, old history.Known) history.Known {
	k.Passed, k.Failed, k.Whole = maps.Clone(k.Passed), maps.Clone(k.Failed), maps.Clone(k.Whole)
	for n := range old.Passed {
		if !k.Failed[n] {
			k.Passed[n] = true
		}
	}
	for n := range old.Failed {
		if !k.Passed[n] {
			k.Failed[n] = true
		}
	}
	if old.Selection == k.Selection {
		maps.Copy(k.Whole, old.Whole)
	}
	return k
}

func recalled(dir, env string) (all []history.Known) {
	s := history.OpenStates(dir)
	defer s.Close()
	s.All(env, func(k history.Known) bool {
		all = append(all, k)
		return true
	})
	return all
}

// TestStates keeps what runs say of states, the newest first, whatever is kept
// of each one.
func TestStates(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		var all []history.Known // of both environments
		for n := range rapid.IntRange(1, 40).Draw(rt, "runs") {
			k := anyKnown(rt, n)
			at := slices.IndexFunc(all, func(o history.Known) bool { return o.Env == k.Env && maps.Equal(o.State, k.State) })
			s := history.OpenStates(dir)
			if err := s.Keep(k); err != nil {
				rt.Fatal(err)
			}
			s.Close()
			if at >= 0 {
				k = merged(k, all[at])
				all = slices.Delete(all, at, at+1)
			}
			all = append([]history.Known{k}, all...)
			all = all[:min(len(all), 24)]
		}
		for _, env := range []string{"x", "y"} {
			var want []history.Known
			for _, k := range all {
				if k.Env == env {
					want = append(want, k)
				}
			}
			if diff := cmp.Diff(want, recalled(dir, env), cmpopts.IgnoreUnexported(history.Known{}), cmpopts.EquateEmpty()); diff != "" {
				rt.Errorf("want (-), got (+):\n%s", diff)
			}
		}
	})
}

// TestStatesOfTwoWriters lets two processes keep at once: some of what they know
// may be lost, and nothing is made up.
func TestStatesOfTwoWriters(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		said := map[string]bool{} // of one test in a state
		open := []*history.States{history.OpenStates(dir), history.OpenStates(dir)}
		for n := range rapid.IntRange(2, 20).Draw(rt, "runs") {
			i := rapid.IntRange(0, 1).Draw(rt, "who")
			if rapid.Bool().Draw(rt, "looks again") {
				open[i].Close()
				open[i] = history.OpenStates(dir)
			}
			k := anyKnown(rt, n)
			k.Env, k.Selection = "x", ""
			if err := open[i].Keep(k); err != nil {
				rt.Fatal(err)
			}
			for what, set := range map[string]map[string]bool{"passed": k.Passed, "failed": k.Failed, "whole": k.Whole} {
				for name := range set {
					said[fmt.Sprint(k.State, what, name)] = true
				}
			}
		}
		for _, s := range open {
			s.Close()
		}
		for _, k := range recalled(dir, "x") {
			for what, set := range map[string]map[string]bool{"passed": k.Passed, "failed": k.Failed, "whole": k.Whole} {
				for name := range set {
					if !said[fmt.Sprint(k.State, what, name)] {
						rt.Errorf("%s %s in %v: nobody said so", what, name, k.State)
					}
				}
			}
		}
	})
}
