package lsptest

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

var update = flag.Bool("update", false, "write the golden files of transcripts anew")

// Transcript writes down, after each step of a session, what is different for
// the user: in the tree as the notifications have it, the states of tests,
// lenses and problems.
type Transcript struct {
	e     *Editor
	read  int                           // of what the server has sent
	items map[string]testproto.TestItem // as the client has them, by root and id
	state map[string]testproto.State
	last  []string
	text  strings.Builder
}

// NewTranscript begins one: the client asks for the tree.
func (e *Editor) NewTranscript() *Transcript {
	t := &Transcript{e: e, items: map[string]testproto.TestItem{}, state: map[string]testproto.State{}}
	var all testproto.DiscoverResult
	e.Call(testproto.MethodDiscoverTests, nil, &all)
	t.discovered(all)
	return t
}

// Step does something, waits for its effects, and writes these down.
func (t *Transcript) Step(name string, do func()) {
	t.e.t.Helper()
	if do != nil {
		do()
	}
	t.e.Synchronize()
	t.hear()
	now := t.lines()
	fmt.Fprintf(&t.text, "## %s\n", name)
	for _, l := range t.last {
		if !slices.Contains(now, l) {
			t.text.WriteString("- " + l + "\n")
		}
	}
	for _, l := range now {
		if !slices.Contains(t.last, l) {
			t.text.WriteString("+ " + l + "\n")
		}
	}
	t.text.WriteString("\n")
	t.last = now
}

// Golden compares all steps with a file, or writes it with -update.
func (t *Transcript) Golden(path string) {
	t.e.t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(t.text.String()), 0o644); err != nil {
			t.e.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.e.t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(t.text.String(), "\n")); diff != "" {
		t.e.t.Errorf("%s (-update writes it anew):\n%s", path, diff)
	}
}

func refKey(root, id string) string { return root + " " + id }

// hear applies what the server has sent since the last time.
func (t *Transcript) hear() {
	all := t.e.All()
	for _, m := range all[t.read:] {
		switch m.Method {
		case testproto.MethodDiscoveredTests:
			var r testproto.DiscoverResult
			if err := json.Unmarshal(m.Params, &r); err != nil {
				t.e.t.Error(err)
			}
			t.discovered(r)
		case testproto.MethodTestStates:
			var p testproto.StatesParams
			if err := json.Unmarshal(m.Params, &p); err != nil {
				t.e.t.Error(err)
			}
			for _, c := range p.Changes {
				t.state[refKey(c.Ref.Root, c.Ref.ID)] = c.State
			}
		}
	}
	t.read = len(all)
}

func (t *Transcript) discovered(r testproto.DiscoverResult) {
	for _, ref := range r.Removed {
		delete(t.items, refKey(ref.Root, ref.ID))
	}
	for k, it := range t.items {
		below := it.Kind != testproto.Dir && it.Kind != testproto.File
		if below && slices.Contains(r.ScopeURIs, it.URI) {
			delete(t.items, k)
		}
	}
	for _, it := range r.Tests {
		t.items[refKey(it.Root, it.ID)] = it
	}
	for changed := true; changed; { // what is below something that is gone
		changed = false
		for k, it := range t.items {
			if _, there := t.items[refKey(it.Root, it.Parent)]; it.Parent != "" && !there {
				delete(t.items, k)
				changed = true
			}
		}
	}
}

var times = regexp.MustCompile(`<?\d+(\.\d)? (ms|s)\b`)

// lines are all that the user sees.
func (t *Transcript) lines() (out []string) {
	for _, k := range slices.Sorted(maps.Keys(t.items)) {
		it := t.items[k]
		line := "tree " + string(it.Kind) + " " + it.ID
		if it.Range != nil {
			line += fmt.Sprintf(" at %d", it.Range.Start.Line+1)
		}
		if s := t.state[k]; s != "" {
			line += " " + string(s)
		}
		if it.Error != "" {
			line += ": " + it.Error
		}
		out = append(out, line)
	}
	for _, name := range slices.Sorted(maps.Keys(t.e.texts)) {
		for _, l := range t.e.Lenses(name) {
			out = append(out, "lens "+name+" "+times.ReplaceAllString(l, "N $2"))
		}
		for _, p := range t.e.Problems(name) {
			first, _, _ := strings.Cut(p, "\n")
			out = append(out, "problem "+name+" "+first)
		}
	}
	return out
}
