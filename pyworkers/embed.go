// Package pyworkers holds the Python side: the modules of a worker, and the
// bootstrap that makes them from a bundle.
package pyworkers

import (
	"embed"
	"encoding/json"
	"strings"
	"sync"
)

//go:embed boot.py
var boot string

// Plain is a plugin for plain pytest, loaded by -p dx_plain: it writes a JSON
// object {reports, warnings} to the file that DX_PLAIN_OUT names. A report is
// [id, when, outcome, has wasxfail, is a subtest's, text or null, sections]. DX_PLAIN_PYTHONPATH is the PYTHONPATH that
// the tests are to see.
//
//go:embed plain.py
var Plain string

// Options is a program for python -c: it prints how many words behind them
// some options take, {takes: {name: number, "?", "*" or "+"}, files: the
// modules that are not installed}. Its arguments are the names as a JSON array, the
// first entry of sys.path, the script's name, and pytest's arguments.
//
//go:embed options.py
var Options string

//go:embed dxworker/*.py
var modules embed.FS

// Command is the program for python -c. Its arguments are the descriptors of
// the bundle, the control socket and the alive pipe, the file in which
// compiled modules are kept, or "", and pytest or unittest.
const Command = `import json, sys; b = json.load(open(int(sys.argv[1]), "rb")); n = {}; exec(b.pop("boot"), n); a = n["boot"](b); del b, n; a[0].main(*a[1:])`

// Bundle is a JSON object: a module's source by its name, and the bootstrap's
// by the name boot.
var Bundle = sync.OnceValue(func() []byte {
	entries, err := modules.ReadDir("dxworker")
	if err != nil {
		panic(err) // it is embedded
	}
	sources := map[string]string{"boot": boot}
	for _, e := range entries {
		b, err := modules.ReadFile("dxworker/" + e.Name())
		if err != nil {
			panic(err)
		}
		if name := strings.TrimSuffix(e.Name(), ".py"); name != "__init__" {
			sources[name] = string(b)
		}
	}
	b, err := json.Marshal(sources)
	if err != nil {
		panic(err)
	}
	return b
})
