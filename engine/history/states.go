package history

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/store"
)

// A test is known to pass in a state of the project: the digests of all its
// files. States are kept by their content, so that coming back to one, or to
// one that differs in what a test does not depend on, knows its results again.

// statesVersion changes with the encoding of the records.
const statesVersion = 2

// maxStates is how many states are kept: one for each edit that was run, of
// some branches. One of 10,000 files takes a megabyte.
const maxStates = 24

// State is the digests of a project's files, by path relative to the root;
// "" for a file that changed while it was looked at.
type State map[string]string

// Differs lists the files, sorted, that are not the same in both states.
func (s State) Differs(now State) []string {
	var out []string
	for p, d := range s {
		if n, there := now[p]; !there || n != d || d == "" {
			out = append(out, p)
		}
	}
	for p := range now {
		if _, was := s[p]; !was {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// Settled is the state that tests ran in, when it is another one behind them:
// of a file that has changed nobody knows, but of those that tests write.
func (s State) Settled(after State, written map[string]bool) State {
	changed := s.Differs(after)
	if len(changed) == 0 {
		return s
	}
	out := maps.Clone(s) // others read it
	for _, p := range changed {
		_, was := s[p]
		now, there := after[p]
		switch {
		case written[p] && !strings.HasSuffix(p, ".py") && there:
			out[p] = now // the tests' own doing
		case was:
			out[p] = ""
		}
	}
	return out
}

// Known is what is known of tests in one state.
type Known struct {
	Env string // names the interpreter, what is installed, options and variables
	// Selection is the names and marks that were asked for: what Whole says
	// holds for a run that asks for the same, or if it is "".
	Selection string
	When      time.Time
	State     State
	Passed    map[string]bool // ids of tests that passed, were skipped or failed as expected
	Failed    map[string]bool
	Whole     map[string]bool // files, relative to the root, of which all tests ran; those without tests too
}

// knownRecord is Known on disk.
type knownRecord struct {
	Env, Selection        string
	When                  time.Time
	State                 State
	Passed, Failed, Whole []string
}

// listKey is the record that lists the states, newest first, as listed.
const listKey = "\x00states"

type listed struct {
	Key  string    `json:"k"`
	Env  string    `json:"e"`
	When time.Time `json:"t"`
}

// States are those of one root. Close it.
type States struct{ store *store.File }

// OpenStates opens them in a root's state folder.
func OpenStates(dir string) *States { return &States{store.Open(dir, "states", statesVersion)} }

// Close unmaps what was read.
func (s *States) Close() { s.store.Close() }

func (s *States) list() (all []listed) {
	if r, ok := s.store.Get(listKey); ok {
		_ = json.Unmarshal(r.Data, &all)
	}
	return all
}

func (s *States) get(key string) (k Known, ok bool) {
	r, ok := s.store.Get(key)
	var rec knownRecord
	if !ok || json.Unmarshal(r.Data, &rec) != nil {
		return k, false
	}
	set := func(names []string) map[string]bool {
		m := make(map[string]bool, len(names))
		for _, n := range names {
			m[n] = true
		}
		return m
	}
	return Known{rec.Env, rec.Selection, rec.When, rec.State, set(rec.Passed), set(rec.Failed), set(rec.Whole)}, true
}

// All calls f with what is known under an environment, the newest first, until
// f returns false.
func (s *States) All(env string, f func(Known) bool) {
	for _, l := range s.list() {
		if l.Env != env {
			continue
		}
		if k, ok := s.get(l.Key); ok && !f(k) {
			return
		}
	}
}

// Keep adds what a run found in a state to what is known of it.
func (s *States) Keep(k Known) error {
	h := file.DigestOf([]byte(k.Env + "\x00" + k.State.text()))
	key := hex.EncodeToString(h[:16])
	if old, ok := s.get(key); ok {
		merge := func(into, from, but map[string]bool) {
			for n := range from {
				if !but[n] {
					into[n] = true
				}
			}
		}
		merge(k.Passed, old.Passed, k.Failed)
		merge(k.Failed, old.Failed, k.Passed)
		if old.Selection == k.Selection {
			merge(k.Whole, old.Whole, nil)
		}
	}
	sorted := func(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
	b, err := json.Marshal(knownRecord{k.Env, k.Selection, k.When, k.State, sorted(k.Passed), sorted(k.Failed), sorted(k.Whole)})
	if err != nil {
		return err
	}
	list := []listed{{key, k.Env, k.When}}
	kept := map[string]bool{key: true, listKey: true}
	for _, l := range s.list() {
		if l.Key != key && len(list) < maxStates {
			list = append(list, l)
			kept[l.Key] = true
		}
	}
	names, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return s.store.Save([]store.Record{{Key: key, Data: b}, {Key: listKey, Data: names}}, func(k string) bool { return kept[k] })
}

// text is the state in one piece.
func (s State) text() string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(s)) {
		b.WriteString(p + "\x00" + s[p] + "\x00")
	}
	return b.String()
}
