package engine

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/store"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

const quietVersion = 1

// Quiet is how a project was before it was found out what is due in it. If that
// was nothing, and nobody has touched a file since, it still is: 10,000 files
// need not be read, or be looked for in what is known, for that.
type Quiet struct {
	request *Request
	key     string
	print   workspace.Print
	usable  bool
}

// quietRecord is what is kept of one key.
type quietRecord struct {
	Sum       string
	Aside     []string
	Unchanged int
}

// LookQuiet says how many tests are unchanged where none is due, as far as an
// earlier Keep tells; false where that has to be found out. It needs what
// FindDue needs.
func LookQuiet(r *Request) (q *Quiet, unchanged int, quiet bool) {
	q = &Quiet{request: r}
	folder := workspace.StateFolder(r.State, r.Root)
	known, racy := knownBy(folder)
	q.key = strings.Join(append([]string{r.DueEnv(), r.Selection(), known, r.Dir}, r.Args...), "\x00")
	sum := file.DigestOf([]byte(q.key))
	q.key = hex.EncodeToString(sum[:16])
	var was quietRecord
	s := store.Open(folder, "quiet", quietVersion)
	defer s.Close()
	kept, had := s.Get(q.key)
	had = had && json.Unmarshal(kept.Data, &was) == nil
	var ok bool
	if q.print, ok = workspace.PrintOf(r.State, r.Config, r.Env, was.Aside); !ok {
		return q, 0, false
	}
	q.usable = !racy && !q.print.Racy
	return q, was.Unchanged, had && was.Sum == hex.EncodeToString(q.print.Sum[:])
}

// Keep says that nothing was due.
func (q *Quiet) Keep(unchanged int) error {
	if !q.usable {
		return nil
	}
	data, err := json.Marshal(quietRecord{hex.EncodeToString(q.print.Sum[:]), q.print.Aside, unchanged})
	if err != nil {
		return err
	}
	s := store.Open(workspace.StateFolder(q.request.State, q.request.Root), "quiet", quietVersion)
	defer s.Close()
	few := s.Len() < 100 // keys of what was known earlier
	return s.Save([]store.Record{{Key: q.key, Data: data}}, func(string) bool { return few })
}

// knownBy is another text when something else is known of earlier runs, by
// another build of this program.
func knownBy(folder string) (text string, racy bool) {
	now := time.Now().UnixNano()
	self, _ := os.Executable()
	paths := []string{self}
	for _, name := range []string{"states", "opened", "executed", "shapes", "cases"} {
		paths = append(paths, filepath.Join(folder, name), filepath.Join(folder, name+".log"))
	}
	var out strings.Builder
	for i, p := range slices.All(paths) {
		id, there := file.Stat(p)
		racy = racy || there && i > 0 && id.Racy(now)
		fmt.Fprintf(&out, "%v %v\n", id, there)
	}
	return out.String(), racy
}
