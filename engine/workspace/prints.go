package workspace

import (
	"encoding/binary"
	"path/filepath"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
)

// Print is another one for each state of a project, as far as the identities of
// its files tell: it is made without reading one of them.
type Print struct {
	Sum   [16]byte
	Aside []string // files and folders that are looked at by their names, as in StateOf
	Racy  bool     // it may be the same one for another state, if that came at once
}

// PrintOf is the print of what StateOf has the digests of. aside is that of an
// earlier Print, nil to find out. It is false for too large a project.
func PrintOf(stateDir string, cfg *config.Config, env *pyenv.Env, aside []string) (p Print, ok bool) {
	now := time.Now().UnixNano()
	p.Aside = aside
	var mu sync.Mutex
	inWalk := map[string]bool{}
	add := func(text []byte) {
		sum := file.DigestOf(text)
		for i := range p.Sum { // folders come in any order
			p.Sum[i] ^= sum[i]
		}
	}
	ok = walk(stateDir, cfg, env, func(dir string, files []walked, names string) {
		text := make([]byte, 0, 64*len(files)+len(dir)+len(names)+2)
		text = append(append(append(text, dir...), 0), names...)
		racy := false
		for _, f := range files {
			text = appendIdentity(append(append(text, 0), filepath.Base(f.path)...), f.id)
			racy = racy || f.id.Racy(now)
		}
		mu.Lock()
		defer mu.Unlock()
		p.Racy = p.Racy || racy
		add(text)
		for _, f := range files {
			if aside == nil {
				inWalk[f.rel] = true
			}
		}
	})
	if aside == nil {
		p.Aside = asides(stateDir, cfg, func(rel string) bool { return inWalk[rel] })
	}
	for _, rel := range p.Aside {
		path := file.Abs(cfg.Root, filepath.FromSlash(rel))
		text := append([]byte(rel), 1)
		if id, there := file.StatAny(path); there {
			text = appendIdentity(text, id)
			p.Racy = p.Racy || id.Racy(now)
		}
		add(text)
	}
	return p, ok
}

func appendIdentity(to []byte, id file.Identity) []byte {
	for _, n := range []uint64{uint64(id.Size), uint64(id.MtimeNs), uint64(id.CtimeNs), id.Dev, id.Ino} {
		to = binary.NativeEndian.AppendUint64(to, n)
	}
	return to
}
