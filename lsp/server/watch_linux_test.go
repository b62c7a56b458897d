package server_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/lsp/lsptest"
	"github.com/dx-py/dx-py-ls/lsp/testproto"
)

// TestEditsOutside edits files behind the editor's back, which tells nothing of
// it: before the user trusts the workspace too the tree and the problems follow.
func TestEditsOutside(t *testing.T) {
	dir := project(t, map[string]string{"pytest.ini": "[pytest]\n", "test_a.py": "def test_a(thing): pass\n", "conftest.py": ""})
	client := lsptest.Rich()
	client.Options = nil
	e := lsptest.StartClient(t, dir, options, client)
	e.Call(testproto.MethodDiscoverTests, nil, nil)
	e.Open("test_a.py", "def test_a(thing): pass\n")
	e.Synchronize()
	if got := e.Problems("test_a.py"); len(got) != 1 {
		t.Errorf("problems of an unknown fixture: %q", got)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("conftest.py", "import pytest\n\n\n@pytest.fixture\ndef thing(): pass\n")
	write("test_b.py", "def test_b(): pass\n")
	e.Synchronize()
	if got := e.Problems("test_a.py"); len(got) != 0 {
		t.Errorf("problems after the fixture came: %q", got)
	}
	all := e.Said(testproto.MethodDiscoveredTests)
	if diff := cmp.Diff([]string{"file test_b.py"}, outline(decode[testproto.DiscoverResult](t, all[len(all)-1]))); diff != "" {
		t.Errorf("a new file:\n%s", diff)
	}
	write("conftest.py", "")
	e.AfterProblems("test_a.py", func(m []string) bool { return len(m) == 1 }) // by itself, asked by nobody
}

// TestFoldersAreWatched opens a folder later, and closes it.
func TestFoldersAreWatched(t *testing.T) {
	dir, other := t.TempDir(), project(t, map[string]string{"pytest.ini": "[pytest]\n"})
	e := lsptest.StartClient(t, dir, options, lsptest.Rich())
	e.Call(testproto.MethodDiscoverTests, nil, nil)
	folder := []any{map[string]any{"uri": "file://" + other, "name": "other"}}
	change := func(added, removed []any) {
		e.Notify("workspace/didChangeWorkspaceFolders", map[string]any{"event": map[string]any{"added": added, "removed": removed}})
		e.Synchronize()
	}
	change(folder, []any{})
	if err := os.WriteFile(filepath.Join(other, "test_b.py"), []byte("def test_b(): pass\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.Synchronize()
	all := e.Said(testproto.MethodDiscoveredTests)
	if got := outline(decode[testproto.DiscoverResult](t, all[len(all)-1])); !slices.Contains(got, "file test_b.py") {
		t.Errorf("a new file of a folder that was opened: %q", got)
	}
	change([]any{}, folder)
}
