package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/wire"
)

var update = flag.Bool("update", false, "write testdata/wire")

// vectors are frames that both languages must make and read alike.
var vectors = []struct {
	Name    string
	Header  wire.Header
	Payload []byte
}{
	{"finish", wire.Header{Kind: wire.Finish, Sequence: 1}, nil},
	{"run", wire.Header{Kind: wire.Run, Sequence: 2, Run: 7}, []byte{0, 0, 0, 0, 193, 0, 0, 0}},
	{"passed", wire.Header{Kind: wire.Passed, Sequence: 1<<40 + 3, Run: 1, Item: 70000}, wire.Timing{Start: 1.7e9, Setup: 0.25, Call: 0.5, Teardown: -1}.Append(nil)},
	{"more", wire.Header{Kind: wire.Report, Flags: wire.More, Sequence: 9, Run: 1, Item: 5}, bytes.Repeat([]byte("x"), 61)},
}

const dir = "../../testdata/wire"

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		b := make([]byte, wire.Size(len(v.Payload)))
		wire.Put(b, v.Header, v.Payload)
		path := filepath.Join(dir, v.Name+".bin")
		if *update {
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, want) {
			t.Errorf("%s: %x, want %x", v.Name, b, want)
		}
	}
}

// python runs a program with the worker's modules on its path.
func python(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"-c", program}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH=../../pyworkers", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVectorsInPython(t *testing.T) {
	out := python(t, `
import json, sys
from dxworker import wire
rows = []
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    kind, flags, length, sequence, run, item = wire.parse(data)
    payload = wire.payload(data, 0, length)
    again = bytearray(wire.size(length))
    wire.put(again, 0, kind, flags, sequence, run, item, payload)
    rows.append([kind, flags, length, sequence, run, item, bytes(again) == data])
print(json.dumps(rows))
`, func() (paths []string) {
		for _, v := range vectors {
			paths = append(paths, filepath.Join(dir, v.Name+".bin"))
		}
		return
	}()...)
	var rows [][]any
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatal(err)
	}
	for i, v := range vectors {
		want := fmt.Sprint([]any{v.Header.Kind, v.Header.Flags, len(v.Payload), float64(v.Header.Sequence), v.Header.Run, v.Header.Item, true})
		if got := fmt.Sprint(rows[i]); got != want {
			t.Errorf("%s: Python has %s, want %s", v.Name, got, want)
		}
	}
}

// TestConstants compares what both sides call by the same names.
func TestConstants(t *testing.T) {
	b, err := os.ReadFile("../../pyworkers/dxworker/wire.py")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^(WRAP[A-Z, ]*) = range\(1, (\d+)\)`).FindSubmatch(b)
	if names == nil {
		t.Fatal("the kinds are not found in wire.py")
	}
	want := fmt.Sprint("WRAP, RUN, FINISH, STOP, PASSED, REPORT, END, WARNING, DONE, CRASH, OBSERVED, FUNCTIONS, COVERED, DOWN ", wire.Down+1)
	if got := string(names[1]) + " " + string(names[2]); got != want {
		t.Errorf("kinds in Python: %s, want %s", got, want)
	}
	head := fmt.Sprintf("MAGIC, VERSION, HEADER_SIZE, ALIGN = 0x%x, %d, %d, %d\n", wire.Magic, wire.Version, wire.HeaderSize, wire.Align)
	if !bytes.Contains(b, []byte(head)) {
		t.Errorf("wire.py has no line %q", head)
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := wire.Header{
			Kind: wire.Kind(rapid.Byte().Draw(t, "kind")), Flags: rapid.Uint16().Draw(t, "flags"), Sequence: rapid.Uint64().Draw(t, "sequence"),
			Run: rapid.Uint32().Draw(t, "run"), Item: rapid.Uint32().Draw(t, "item"),
		}
		p := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		b := make([]byte, wire.Size(len(p)))
		wire.Put(b, h, p)
		h.Length = uint32(len(p))
		got, err := wire.Parse(b)
		if err != nil || got != h {
			t.Fatalf("%+v, %v, want %+v", got, err, h)
		}
		q, err := wire.Payload(b, got)
		if err != nil || !bytes.Equal(p, q) {
			t.Fatalf("%x, %v, want %x", q, err, p)
		}
		// one flipped bit is always seen, in what the CRCs cover
		at := rapid.IntRange(0, wire.HeaderSize+len(p)-1).Draw(t, "at")
		b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if got, err := wire.Parse(b); err == nil {
			if _, err = wire.Payload(b, got); err == nil {
				t.Fatal("a flipped bit was not seen")
			}
		}
	})
}

func FuzzFrame(f *testing.F) {
	for _, v := range vectors {
		b := make([]byte, wire.Size(len(v.Payload)))
		wire.Put(b, v.Header, v.Payload)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := wire.Parse(b)
		if err != nil {
			return
		}
		if p, err := wire.Payload(b, h); err == nil && len(p) != int(h.Length) {
			t.Fatalf("%d bytes, want %d", len(p), h.Length)
		}
	})
}
