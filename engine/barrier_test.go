package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/watch"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// TestBarrier edits a file and asks at once, 100 times: what is found is what
// was written last.
func TestBarrier(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "test_a.py")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := engine.NewBarrier(watch.Options{Roots: []string{dir}, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ws := workspace.New(workspace.Settings{Dir: dir, StateDir: t.TempDir()})
	defer ws.Close()
	snapshot := ws.Apply(workspace.Update{})
	for i := range 100 {
		if err := os.WriteFile(path, fmt.Appendf(nil, "def test_%d():\n    pass\n", i), 0o644); err != nil {
			t.Fatal(err)
		}
		edits, err := b.Pass(context.Background())
		if err != nil || len(edits.Changes) != 1 || edits.Changes[0].Path != path {
			t.Fatalf("edit %d: %+v, %v", i, edits, err)
		}
		snapshot = ws.Apply(workspace.Update{Disk: true})
		suite, err := snapshot.Suite()
		if err != nil || len(suite.Items) != 1 || suite.Items[0].ID != fmt.Sprintf("test_a.py::test_%d", i) {
			t.Fatalf("edit %d: %v, %v", i, suite.Items, err)
		}
	}
	if b.Status().Sweeps == 0 {
		if edits, err := b.Pass(context.Background()); err != nil || !edits.Empty() {
			t.Errorf("without an edit: %+v, %v", edits, err)
		}
	}
	b.Close()
	if _, err := b.Pass(context.Background()); !errors.Is(err, watch.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
