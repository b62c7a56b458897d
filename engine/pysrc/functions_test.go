package pysrc_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// functionsOf lists, for each file of the standard library, the outermost
// functions in the order of the text, each with its last line of code.
const functionsOf = `
import ast, glob, json, os, sys
def walk(node, prefix, out):
    for n in ast.iter_child_nodes(node):
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)):
            out.append((n.lineno, prefix + n.name, n.end_lineno))
        elif isinstance(n, ast.ClassDef):
            walk(n, prefix + n.name + ".", out)
        else:
            walk(n, prefix, out)
files = sorted(glob.glob(os.path.join(os.path.dirname(os.__file__), "*.py")) + glob.glob(os.path.join(os.path.dirname(os.__file__), "*", "*.py")))
for p in files[::3]:
    try:
        with open(p, encoding="utf-8", newline="") as f:
            text = f.read()
        tree = ast.parse(text)
    except (UnicodeDecodeError, SyntaxError, ValueError):
        continue
    if "\f" in text or "\r" in text:
        continue
    out = []
    walk(tree, "", out)
    lines = text.split("\n")
    print(json.dumps([p, [[name, lines[end - 1].strip()] for _, name, end in sorted(out)]]))
`

// TestFunctionsAreThoseOfPython compares with Python's own parser.
func TestFunctionsAreThoseOfPython(t *testing.T) {
	out, err := exec.Command("python3", "-c", functionsOf).Output()
	if err != nil {
		t.Fatalf("these tests need python3 on PATH: %v", err)
	}
	files, parted, bad := 0, 0, 0
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var path string
		var want [][2]string
		if err := json.Unmarshal([]byte(line), &[]any{&path, &want}); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files++
		all, _, ok := pysrc.Functions(content)
		if !ok {
			continue
		}
		parted++
		k := 0
		for _, f := range all { // some are told to be no function, none is told to be another
			for k < len(want) && want[k][0] != f.Name {
				k++
			}
			body := strings.TrimSpace(f.Outline[:max(0, strings.IndexByte(f.Outline, 0))] + string(f.Body))
			if k == len(want) || !strings.HasSuffix(body, want[k][1]) && !strings.HasSuffix(want[k][1], body) {
				if bad++; bad < 5 {
					t.Errorf("%s: %s is none of Python's, or ends with %q", path, f.Name, body[max(0, len(body)-60):])
				}
				break
			}
			k++
		}
		if len(all)*10 < len(want)*9 {
			t.Errorf("%s: %d functions of %d", path, len(all), len(want))
		}
	}
	if files < 200 || parted*10 < files*9 {
		t.Errorf("%d of %d files parted", parted, files)
	}
	t.Logf("%d of %d files parted", parted, files)
}
