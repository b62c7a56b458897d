// Package pyworkers holds the Python side: the bootstrap that a worker's
// interpreter is started with, and the modules that it makes from a bundle.
package pyworkers

import (
	"embed"
	"encoding/json"
	"strings"
	"sync"
)

//go:embed boot.py
var boot string

//go:embed dxworker/*.py
var modules embed.FS

// Boot is the program for python -c. Its arguments are the descriptors of the
// control socket, the bundle and the alive pipe, and the file in which
// compiled modules are kept, or "".
func Boot() string { return boot }

// Bundle is a JSON object: a module's source by its name.
var Bundle = sync.OnceValue(func() []byte {
	entries, err := modules.ReadDir("dxworker")
	if err != nil {
		panic(err) // it is embedded
	}
	sources := map[string]string{}
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
