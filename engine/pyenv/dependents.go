package pyenv

import (
	"bufio"
	"bytes"
	"path/filepath"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// Dependents returns the top-level modules of the installed distributions that
// require, directly or not, a distribution that is installed from its project
// (editable): what imports them may import the project. It reads the metadata
// of every distribution: a millisecond for each fifty.
func (e *Env) Dependents() map[string]bool {
	type dist struct {
		dir, info string
		requires  []string
	}
	dists := map[string]dist{}
	needs := map[string]bool{} // by normalized name: is of a project, or requires one
	for _, site := range e.Sites {
		es, err := file.List(site, "/")
		if err != nil {
			continue
		}
		for _, d := range es {
			if !strings.HasSuffix(d.Name, ".dist-info") {
				continue
			}
			name, _, _ := strings.Cut(strings.TrimSuffix(d.Name, ".dist-info"), "-")
			name = normalize(name)
			if _, dup := dists[name]; dup {
				continue
			}
			info := filepath.Join(site, d.Name)
			dists[name] = dist{site, info, requirements(filepath.Join(info, "METADATA"))}
			if url, _, err := file.Read(filepath.Join(info, "direct_url.json"), nil); err == nil && bytes.Contains(bytes.ReplaceAll(url, []byte(" "), nil), []byte(`"editable":true`)) {
				needs[name] = true
			}
		}
	}
	own := len(needs)
	if own == 0 {
		return nil
	}
	for more := true; more; {
		more = false
		for name, d := range dists {
			if needs[name] {
				continue
			}
			for _, r := range d.requires {
				if needs[r] {
					needs[name], more = true, true
					break
				}
			}
		}
	}
	out := map[string]bool{}
	for name := range needs {
		d := dists[name]
		record, _, err := file.Read(filepath.Join(d.info, "RECORD"), nil)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(record), "\n") {
			p, _, _ := strings.Cut(line, ",")
			top, _, deep := strings.Cut(p, "/")
			if (deep || strings.HasSuffix(top, ".py")) && !strings.ContainsAny(top, "-") && !strings.HasPrefix(top, ".") && !strings.HasPrefix(top, "__editable__") {
				out[strings.TrimSuffix(top, ".py")] = true
			}
		}
	}
	return out
}

// requirements reads the Requires-Dist lines of a METADATA file, without those
// of extras.
func requirements(path string) []string {
	b, _, err := file.Read(path, nil)
	if err != nil {
		return nil
	}
	var out []string
	s := bufio.NewScanner(bytes.NewReader(b))
	for s.Scan() && s.Text() != "" {
		r, ok := strings.CutPrefix(s.Text(), "Requires-Dist:")
		if !ok || strings.Contains(r, "extra ==") {
			continue
		}
		r = strings.TrimSpace(r)
		if i := strings.IndexAny(r, " [(<>=!~;"); i >= 0 {
			r = r[:i]
		}
		out = append(out, normalize(r))
	}
	return out
}
