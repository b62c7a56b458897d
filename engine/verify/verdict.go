package verify

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/zeebo/blake3"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// Verdict is what verify found of a suite, kept in its state folder until the
// interpreter, what is installed, the arguments or the engine change.
type Verdict struct {
	Key         string    `json:"key"`
	When        time.Time `json:"when"`
	Tests       int       `json:"tests"`
	Differences int       `json:"differences"`
	Parallel    bool      `json:"parallel"` // several workers gave the same answers
	Seconds     float64   `json:"seconds"`  // of plain pytest
}

// Line says it in one line.
func (v *Verdict) Line() string {
	safe := "not safe with -n"
	if v.Parallel {
		safe = "safe with -n"
	}
	return fmt.Sprintf("%d tests, %d differences · %s (%s)", v.Tests, v.Differences, safe, v.When.Format("2006-01-02"))
}

// Keep writes the verdict of a report. version is the engine's.
func (r *Report) Keep(req engine.Request, version string) error {
	if req.State == "" || req.Root == "" {
		return nil
	}
	v := Verdict{key(req, version), time.Now(), len(r.Plain.Tests), r.Differences(), r.Parallel, r.Plain.Seconds}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	path := verdictPath(req)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := path + fmt.Sprintf(".%d.tmp", os.Getpid())
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// Kept is the verdict that holds for a request; false when there is none.
func Kept(req engine.Request, version string) (v Verdict, ok bool) {
	if req.State == "" || req.Root == "" {
		return v, false
	}
	b, err := os.ReadFile(verdictPath(req))
	if err != nil || json.Unmarshal(b, &v) != nil || v.Key != key(req, version) {
		return v, false
	}
	return v, true
}

func verdictPath(req engine.Request) string {
	return filepath.Join(workspace.StateFolder(req.State, req.Root), "verdict.json")
}

// key names what a verdict depends on beside the project itself.
func key(req engine.Request, version string) string {
	h := blake3.New()
	fmt.Fprintf(h, "%s\x00%s\x00%v\x00", version, req.Env.Python, req.Env.Version)
	for _, name := range slices.Sorted(maps.Keys(req.Env.Dists)) {
		fmt.Fprintf(h, "%s %s\x00", name, req.Env.Dists[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
