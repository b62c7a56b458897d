package history

import (
	"crypto/rand"
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
const statesVersion = 3

// maxStates is how many states are kept: one for each edit that was run, of
// some branches. One of 10,000 files takes a megabyte.
const maxStates = 24

// State is the digests of a project's files, by path relative to the root;
// "" for a file that changed while it was looked at.
type State map[string]string

// Names stands behind the path of a folder in a State: of what is in it and in
// no other way in the State.
const Names = "/."

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

	version string // of what is kept
}

// knownRecord is Known on disk: the newest of an environment in whole, each
// other one as what makes it of the one that is next newer.
type knownRecord struct {
	Env, Selection        string
	When                  time.Time
	Version, On           string   // On is the Version of the newer one, "" for none
	State                 State    // of more files, or others than in the newer state
	Gone                  []string // files of the newer state that are none of this one
	Passed, Failed, Whole change
}

// change makes a set of another one.
type change struct{ More, Less []string }

func changeOf(from, to map[string]bool) (c change) {
	for n := range to {
		if !from[n] {
			c.More = append(c.More, n)
		}
	}
	for n := range from {
		if !to[n] {
			c.Less = append(c.Less, n)
		}
	}
	slices.Sort(c.More)
	slices.Sort(c.Less)
	return c
}

func (c change) of(from map[string]bool) map[string]bool {
	to := make(map[string]bool, len(from)+len(c.More))
	maps.Copy(to, from)
	for _, n := range c.Less {
		delete(to, n)
	}
	for _, n := range c.More {
		to[n] = true
	}
	return to
}

// record is k as it is kept behind a newer one.
func (k *Known) record(newer *Known) knownRecord {
	r := knownRecord{
		Env: k.Env, Selection: k.Selection, When: k.When, Version: k.version, On: newer.version, State: State{},
		Passed: changeOf(newer.Passed, k.Passed), Failed: changeOf(newer.Failed, k.Failed), Whole: changeOf(newer.Whole, k.Whole),
	}
	for p, d := range k.State {
		if n, there := newer.State[p]; !there || n != d {
			r.State[p] = d
		}
	}
	for p := range newer.State {
		if _, was := k.State[p]; !was {
			r.Gone = append(r.Gone, p)
		}
	}
	slices.Sort(r.Gone)
	return r
}

// known is what a record says behind a newer one.
func (r *knownRecord) known(newer *Known) Known {
	k := Known{
		Env: r.Env, Selection: r.Selection, When: r.When, version: r.Version, State: make(State, len(newer.State)+len(r.State)),
		Passed: r.Passed.of(newer.Passed), Failed: r.Failed.of(newer.Failed), Whole: r.Whole.of(newer.Whole),
	}
	maps.Copy(k.State, newer.State)
	for _, p := range r.Gone {
		delete(k.State, p)
	}
	maps.Copy(k.State, r.State)
	return k
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

// All calls f with what is known under an environment, the newest first, until
// f returns false.
func (s *States) All(env string, f func(Known) bool) {
	s.each(env, func(_ string, k Known) bool { return f(k) })
}

func (s *States) each(env string, f func(key string, k Known) bool) {
	newer := Known{}
	for _, l := range s.list() {
		if l.Env != env {
			continue
		}
		r, ok := s.store.Get(l.Key)
		var rec knownRecord
		if !ok || json.Unmarshal(r.Data, &rec) != nil || rec.On != newer.version {
			return // and what older ones say cannot be told; two may have written at once
		}
		if newer = rec.known(&newer); !f(l.Key, newer) {
			return
		}
	}
}

// Keep adds what a run found in a state to what is known of it.
func (s *States) Keep(k Known) error {
	h := file.DigestOf([]byte(k.Env + "\x00" + k.State.text()))
	key := hex.EncodeToString(h[:16])
	all := s.list()
	k.version = rand.Text()
	known := slices.ContainsFunc(all, func(l listed) bool { return l.Key == key })
	var keys []string // of the others of the environment, as far as they get another newer one
	var chain []Known
	moved := 0 // the one of chain that followed on the state, where that was known and not the newest
	s.each(k.Env, func(at string, old Known) bool {
		if at == key {
			k.merge(&old)
			known, moved = false, len(chain)
			return true
		}
		keys, chain = append(keys, at), append(chain, old)
		return known
	})
	var add []store.Record
	put := func(key string, v any) error {
		b, err := json.Marshal(v)
		add = append(add, store.Record{Key: key, Data: b})
		return err
	}
	if err := put(key, k.record(&Known{})); err != nil {
		return err
	}
	if len(chain) > 0 {
		if err := put(keys[0], chain[0].record(&k)); err != nil {
			return err
		}
	}
	if moved > 0 && moved < len(chain) {
		if err := put(keys[moved], chain[moved].record(&chain[moved-1])); err != nil {
			return err
		}
	}
	list := []listed{{key, k.Env, k.When}}
	kept := map[string]bool{key: true, listKey: true}
	for _, l := range all {
		if l.Key != key && len(list) < maxStates {
			list = append(list, l)
			kept[l.Key] = true
		}
	}
	if err := put(listKey, list); err != nil {
		return err
	}
	return s.store.Save(add, func(k string) bool { return kept[k] })
}

// merge takes in what was known before.
func (k *Known) merge(old *Known) {
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

// text is the state in one piece.
func (s State) text() string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(s)) {
		b.WriteString(p + "\x00" + s[p] + "\x00")
	}
	return b.String()
}
