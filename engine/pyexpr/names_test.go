package pyexpr

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// TestNamesEqualPython compares all known names, and their spelling in lower
// case, with unicodedata.lookup.
func TestNamesEqualPython(t *testing.T) {
	names := make([]string, 0, 40_000)
	for name := range runesByName() {
		names = append(names, name)
	}
	in, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	script := `import json, sys, unicodedata
def rune(name):
    try:
        return ord(unicodedata.lookup(name.lower()))
    except KeyError:
        return -1
json.dump([rune(n) for n in json.load(open(sys.argv[1]))], sys.stdout)`
	file := t.TempDir() + "/names.json"
	if err := os.WriteFile(file, in, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("python3", "-c", script, file).Output()
	if err != nil {
		t.Fatalf("these tests need python3 on PATH: %v", err)
	}
	var want []rune
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	unknown := 0
	for i, name := range names {
		if want[i] < 0 { // newer than this Python
			unknown++
		} else if got := runesByName()[name]; got != want[i] {
			t.Errorf("%s: %U, want %U", name, got, want[i])
		}
	}
	if known := len(names) - unknown; known < 30_000 {
		t.Errorf("Python knows %d of %d names", known, len(names))
	}
}
