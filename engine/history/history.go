// Package history remembers how tests ended and how long they took, in the
// state folder of a root and in files that people keep.
package history

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/store"
)

// version changes with the layout of a record's Meta.
const version = 1

// maxKept bounds the records: beyond it only tests of the last run stay. A
// record takes about 200 bytes.
const maxKept = 500_000

// Last is how a test ended the last time.
type Last struct {
	Outcome pytest.Outcome
	Seconds float64 // smoothed over the last runs
	When    time.Time
}

// History is the record of one root. Close it.
type History struct {
	dir   string
	store *store.File
}

// Open opens the history in a root's state folder; "" gives one that is empty
// and forgets.
func Open(dir string) *History {
	h := &History{dir: dir}
	if dir != "" {
		h.store = store.Open(dir, "history", version)
	}
	return h
}

// Close unmaps what was read.
func (h *History) Close() {
	if h.store != nil {
		h.store.Close()
	}
}

// Last returns how a test ended the last time; false when nothing is known.
func (h *History) Last(id string) (l Last, ok bool) {
	if h.store == nil {
		return l, false
	}
	r, ok := h.store.Get(id)
	if !ok {
		return l, false
	}
	return decode(&r.Meta), true
}

// Seconds is how long a test took, -1 when that is not known.
func (h *History) Seconds(id string) float64 {
	if l, ok := h.Last(id); ok {
		return l.Seconds
	}
	return -1
}

// weight of the newest run in the smoothed duration.
const weight = 0.5

// Record takes results over. Writing fails when another process writes: what
// it says is as good.
func (h *History) Record(results []pytest.Result, now time.Time) error {
	if h.store == nil || len(results) == 0 {
		return nil
	}
	add := make([]store.Record, len(results))
	used := make(map[string]bool, len(results))
	for i := range results {
		r := &results[i]
		l := Last{r.Outcome, r.Seconds(), now}
		if old, ok := h.Last(r.ID); ok {
			l.Seconds = weight*l.Seconds + (1-weight)*old.Seconds
		}
		add[i] = store.Record{Key: r.ID, Meta: encode(l)}
		used[r.ID] = true
	}
	keep := func(string) bool { return true }
	if h.store.Len() > maxKept {
		keep = func(id string) bool { return used[id] }
	}
	return h.store.Save(add, keep)
}

// Meta: outcome 1 byte, 3 free, f32 seconds, i64 nanoseconds since 1970.
func encode(l Last) (m [store.MetaSize]byte) {
	m[0] = byte(l.Outcome)
	binary.NativeEndian.PutUint32(m[4:], math.Float32bits(float32(l.Seconds)))
	binary.NativeEndian.PutUint64(m[8:], uint64(l.When.UnixNano()))
	return m
}

func decode(m *[store.MetaSize]byte) Last {
	return Last{
		pytest.Outcome(m[0]), float64(math.Float32frombits(binary.NativeEndian.Uint32(m[4:]))),
		time.Unix(0, int64(binary.NativeEndian.Uint64(m[8:]))),
	}
}

// Durations are seconds by test id, in a file that people keep: one JSON
// object, as pytest-split writes it.
type Durations map[string]float64

// LoadDurations reads a file; one that is not there is empty.
func LoadDurations(path string) (Durations, error) {
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return Durations{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading durations: %w", err)
	}
	var d Durations
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%s is no file of durations, which is a JSON object of seconds by test id: %w", path, err)
	}
	return d, nil
}

// Seconds is how long a test took, -1 when that is not known.
func (d Durations) Seconds(id string) float64 {
	if s, ok := d[id]; ok {
		return s
	}
	return -1
}

// Save writes the file with results added, whole and in the order of the ids.
func (d Durations) Save(path string, results []pytest.Result) error {
	all := maps.Clone(d)
	for i := range results {
		all[results[i].ID] = math.Round(results[i].Seconds()*1e6) / 1e6
	}
	b, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing durations: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(b, '\n'))
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing durations: %w", err)
	}
	return nil
}
