package cli

import (
	"fmt"
	"os"

	"github.com/dx-py/dx-py-ls/engine/cover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// covering is what is known of a line from runs with coverage; "" when that is
// nothing, or where is no line.
func (pr *project) covering(where string) string {
	w := parseWhere(pr.dir, []string{where})
	snap := pr.ws.Apply(workspace.Update{})
	cfg, _, err := snap.Configure()
	if len(w.lines) == 0 || err != nil {
		return ""
	}
	state := snap.StateDir()
	line := w.lines[0]
	rel, in := file.Rel(cfg.Root, line.path)
	text, err := os.ReadFile(line.path)
	if state == "" || !in || err != nil {
		return ""
	}
	tests, known, edited := cover.Covering(workspace.StateFolder(state, cfg.Root), rel, history.Digest(text), int(line.line))
	switch {
	case edited:
		return fmt.Sprintf("%s has been edited since a run with coverage: which tests cover its lines is not known\n", rel)
	case !known:
		return ""
	case len(tests) == 0:
		return fmt.Sprintf("no test is known to cover %s:%d\n", rel, line.line)
	}
	out := fmt.Sprintf("tests covering %s:%d\n", rel, line.line)
	for _, id := range tests {
		out += "  " + id + "\n"
	}
	return out
}
