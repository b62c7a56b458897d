package workspace_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/enginetest"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// TestAnyio lists coroutines that anyio's plugin runs: they use its fixture,
// whose parameters are the plugin's, unknown, or the project's.
func TestAnyio(t *testing.T) {
	python := enginetest.Plugins(t)
	for name, c := range map[string]struct {
		ini, conftest, test string
		bare                int
	}{
		"marks": {bare: 2, test: `
import pytest
def test_plain(): pass
async def test_unmarked(): pass
@pytest.mark.anyio
async def test_marked(): pass
@pytest.mark.anyio
def test_function(): pass
class TestC:
    pytestmark = pytest.mark.anyio
    async def test_method(self): pass
    def test_sync(self): pass
`},
		"the project's backends": {conftest: "import pytest\n@pytest.fixture(params=['asyncio', 'trio'])\ndef anyio_backend(request): return request.param\n", test: `
import pytest
pytestmark = pytest.mark.anyio
async def test_a(): pass
def test_b(): pass
`},
		"auto": {ini: "anyio_mode = auto\n", conftest: "import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n", test: "async def test_a(): pass\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"pytest.ini": "[pytest]\naddopts = -p no:randomly\n" + c.ini, "conftest.py": c.conftest, "test_a.py": c.test} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want := map[string]bool{}
			for _, x := range enginetest.Collect(t, python, dir) {
				want[x.ID] = true
			}
			w := workspace.New(workspace.Settings{Dir: dir, Python: python, Env: map[string]string{}})
			defer w.Close()
			suite, err := w.Apply(workspace.Update{}).Suite()
			if err != nil {
				t.Fatal(err)
			}
			exact, bare := map[string]bool{}, map[string]bool{}
			for _, it := range suite.Items {
				if it.Exact() {
					exact[it.ID] = true
				} else {
					bare[it.ID] = true
				}
				if it.Exact() && !want[it.ID] {
					t.Errorf("%s is no id of pytest's: %v", it.ID, want)
				}
			}
			for id := range want {
				if !exact[id] && !bare[pytest.Bare(id)] {
					t.Errorf("%s is missing", id)
				}
			}
			if len(bare) != c.bare {
				t.Errorf("bare: %v, want %d", bare, c.bare)
			}
		})
	}
}
