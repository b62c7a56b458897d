package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os/exec"
	"time"

	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// compileCode reads texts, each behind its length, and says what the compiler
// says of each: "" when it refuses one, else "ok" and its warnings, which a
// configuration may make errors.
const compileCode = `
import sys, json, warnings
data, at, said = sys.stdin.buffer.read(), 0, []
while at < len(data):
    size = int.from_bytes(data[at:at + 4], "little")
    text, at = data[at + 4:at + 4 + size], at + 4 + size
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            compile(text, "", "exec", 0, True)
            said.append("ok" + "".join(sorted("\n%s: %s" % (w.category.__name__, w.message) for w in found)))
        except Exception:
            said.append("")
print(json.dumps(said))
`

// compileTime bounds the compilation of all that is new: 1 MB takes a second.
const compileTime = 2 * time.Minute

// openShapes opens the shapes of a request's root; of what is new its Python
// says whether it compiles.
func openShapes(r *Request) *history.Shapes {
	dir := workspace.StateFolder(r.State, r.Root)
	version := fmt.Sprintf("%d.%d", r.Env.Version.Major, r.Env.Version.Minor)
	if r.Static {
		return history.OpenShapes(dir, version, nil)
	}
	return history.OpenShapes(dir, version, func(contents [][]byte) []string {
		var in, out bytes.Buffer
		for _, c := range contents {
			in.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(c))))
			in.Write(c)
		}
		ctx, cancel := context.WithTimeout(context.Background(), compileTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, r.Env.Python, "-I", "-S", "-c", compileCode)
		cmd.Stdin, cmd.Stdout = &in, &out
		var said []string
		if cmd.Run() != nil || json.Unmarshal(out.Bytes(), &said) != nil || len(said) != len(contents) {
			return nil
		}
		return said
	})
}
