package pool

import (
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// seen is what was on disk when a stage was made, of the files and folders that
// were read or looked for.
type seen struct {
	files map[string]file.Identity // none for what was not there
	names map[string]uint64        // of folders: what is in them
	racy  string                   // a file that changed while, or just before, the stage was made: nobody knows which state was read
}

// namesSeed is of this process, as are the sums.
var namesSeed = maphash.MakeSeed()

// look takes the identities of what was read since a time. What the stage
// before this one has read, too, is as it was then, or the stage is of no use:
// of it nothing new is to be learned.
func look(paths []string, began time.Time, before *seen) seen {
	s := seen{files: make(map[string]file.Identity, len(paths)), names: map[string]uint64{}}
	if before != nil {
		s.racy = before.racy
	}
	since := began.UnixNano() - file.RacyWindowNs
	slices.Sort(paths)
	for _, p := range slices.Compact(paths) {
		if before != nil {
			if id, known := before.files[p]; known {
				if sum, folder := before.names[p]; folder {
					s.names[p] = sum
				}
				s.files[p] = id
				continue
			}
		}
		id, there := file.StatAny(p)
		young := max(id.CtimeNs, id.MtimeNs) >= since
		if there && !strings.HasSuffix(p, ".py") && file.IsDir(p) {
			s.names[p] = names(p)
			young = young && anyYoung(p, since)
		}
		if young {
			s.racy = p
		}
		s.files[p] = id
	}
	return s
}

// changed returns a file that is no longer what it was. A folder is its names:
// an editor that saves by renaming changes its time only.
func (s *seen) changed(d disk) (path string, yes bool) {
	for path, id := range s.files {
		now, asked := d[path]
		if !asked {
			now, _ = file.StatAny(path)
			d[path] = now
		}
		if now == id {
			continue
		}
		sum, folder := s.names[path]
		if !folder || now.Ino != id.Ino || now.Dev != id.Dev || names(path) != sum {
			return path, true
		}
	}
	return "", false
}

// disk is what is there, as far as somebody has asked: the stages of a project
// have most of their files in common. None for what is not there.
type disk map[string]file.Identity

// anyYoung reports whether something in a folder has changed since a time. What
// is gone since then nobody has read, or it is looked at by itself; what has a
// dot nobody imports.
func anyYoung(dir string, since int64) bool {
	entries, _ := os.ReadDir(dir)
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		id, _ := file.StatAny(filepath.Join(dir, e.Name()))
		return !strings.HasPrefix(e.Name(), ".") && !passing(e.Name()) && max(id.CtimeNs, id.MtimeNs) >= since
	})
}

// passing reports whether a name is of a cache, which runs make, or of what
// editors write on the way to saving a file.
func passing(name string) bool {
	return name == "__pycache__" || name == ".pytest_cache" || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp") || strings.HasPrefix(name, ".#")
}

// names sums up a folder's entries, but for passing ones.
func names(dir string) uint64 {
	entries, _ := os.ReadDir(dir) // sorted; what cannot be listed is as empty
	var h maphash.Hash
	h.SetSeed(namesSeed)
	for _, e := range entries {
		if passing(e.Name()) {
			continue
		}
		h.WriteString(e.Name())
		h.WriteByte('/')
		h.WriteByte(byte(e.Type() >> 24))
	}
	return h.Sum64()
}
