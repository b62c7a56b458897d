package engine_test

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// opened collects what a run says of files.
type opened struct {
	edges   map[string][]string
	opaque  []string
	written []string
	whole   bool
}

func (o *opened) Event(e run.Event) {
	switch {
	case e.Observed != nil:
		for k, v := range e.Observed.Edges {
			o.edges[k] = append(o.edges[k], v...)
		}
		o.opaque = append(o.opaque, e.Observed.Opaque...)
		o.written = append(o.written, e.Observed.Written...)
	case e.Ended != nil:
		o.whole = e.Ended.Whole
	}
}

// starting is a file with a test that starts a process by multiprocessing.
func starting(method string) string {
	return "import multiprocessing, os\ndef test_process():\n    p = multiprocessing.get_context('" + method + "').Process(target=os.getpid)\n    p.start()\n    p.join()\n    assert p.exitcode == 0\n"
}

// TestObserved tells who opened which file of the project, while modules were
// loaded and while tests ran, whatever library did it for them.
func TestObserved(t *testing.T) {
	project := map[string]string{
		"pytest.ini": "[pytest]\n",
		"conftest.py": "import pytest, json\n" +
			"SETTINGS = json.load(open('settings.json'))\n" +
			"@pytest.fixture\ndef text():\n    from pathlib import Path\n    return Path('fixture.txt').read_text()\n",
		"lib/__init__.py": "", "lib/load.py": "import os\ndef load(name):\n    with open(os.path.join('data', name)) as f: return f.read()\n",
		"settings.json": "{}", "fixture.txt": "1", "data/a.txt": "1", "data/b.txt": "2", "never.txt": "",
		"test_a.py": "import os, subprocess, sys\nfrom lib.load import load\n" +
			"def test_a(text): assert load('a.txt') == text\n" +
			"def test_list(): assert len(os.listdir('data')) == 2\n" +
			"def test_write(tmp_path):\n    open('out.txt', 'w').close()\n    (tmp_path / 'x').write_text('')\n" +
			// The sources that a traceback or a warning shows have run; who asks for one sees all of it.
			"def test_traceback():\n    import traceback, warnings\n    warnings.warn('said')\n    try: load()\n    except TypeError: traceback.format_exc()\n",
		"test_e.py": "import inspect, lib.shown\ndef test_source(): inspect.getsource(lib.shown)\n", "lib/shown.py": "X = 1\n",
		"test_b.py": "import subprocess, sys\ndef test_sub(): subprocess.run([sys.executable, '-c', ''], check=True)\n",
		// No event tells of these two, nor which file.
		"test_c.py": starting("spawn"), "test_d.py": starting("forkserver"),
	}
	for _, v := range enginetest.Versions {
		for _, workers := range []int{1, 2} {
			dir := files(t, project)
			r, _ := request(t, v, dir, "-p", "no:cacheprovider")
			r.Root, r.Workers = dir, workers
			o := &opened{edges: map[string][]string{}}
			if status, err := cold.Run(context.Background(), r, o); err != nil || status != 0 {
				t.Fatalf("%s: exit status %d, %v", v, status, err)
			}
			got := map[string]string{}
			short := func(p string) string { return strings.TrimPrefix(p, dir+string(filepath.Separator)) }
			for _, k := range slices.Sorted(maps.Keys(o.edges)) {
				var to []string
				for _, p := range o.edges[k] {
					to = append(to, short(p))
				}
				if len(to) > 0 {
					slices.Sort(to)
					got[short(k)] = strings.Join(slices.Compact(to), " ")
				}
			}
			want := map[string]string{"conftest.py": "fixture.txt settings.json", "lib/load.py": "data/a.txt", "test_a.py": "data", "test_e.py": "lib/shown.py"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %d workers: want (-), got (+):\n%s", v, workers, diff)
			}
			starts := map[string]bool{}
			for _, p := range o.opaque {
				starts[short(p)] = true
			}
			if diff := cmp.Diff(map[string]bool{"test_b.py": true, "test_c.py": true, "test_d.py": true}, starts); diff != "" {
				t.Errorf("%s, %d workers: what starts processes: want (-), got (+):\n%s", v, workers, diff)
			}
			if !slices.ContainsFunc(o.written, func(p string) bool { return short(p) == "out.txt" }) || !o.whole {
				t.Errorf("%s: written %v, whole %v", v, o.written, o.whole)
			}
		}
	}
}

// TestObservedHypothesis says nothing of the sources that hypothesis gathers
// constants from, for whatever its own tests are given.
func TestObservedHypothesis(t *testing.T) {
	dir := files(t, map[string]string{
		"pytest.ini": "[pytest]\n", "lib.py": "WORDS = ['constant', 123456, 'another']\n",
		"test_h.py": "import lib\nfrom hypothesis import given, strategies as st\n@given(st.integers())\ndef test_h(x): assert x is not None\ndef test_plain(): pass\n",
	})
	r, _ := requestOf(t, enginetest.Plugins(t), dir, "-p", "no:cacheprovider")
	r.Root = dir
	o := &opened{edges: map[string][]string{}}
	if status, err := cold.Run(context.Background(), r, o); err != nil || status != 0 {
		t.Fatalf("exit status %d, %v", status, err)
	}
	for opener, paths := range o.edges {
		for _, p := range paths {
			if strings.HasSuffix(p, ".py") || strings.Contains(p, "constants") {
				t.Errorf("%q reads %s", opener, p)
			}
		}
	}
}
