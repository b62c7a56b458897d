//go:build !linux

package file

import (
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// List returns the entries of a directory sorted by name, with the identities
// of regular files whose name ends with suffix. Links are followed.
func List(dir, suffix string) ([]Entry, error) {
	des, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, 0, len(des))
	for _, d := range des {
		e := Entry{Name: d.Name(), Link: d.Type()&os.ModeSymlink != 0}
		switch {
		case d.IsDir():
			e.Kind = Dir
		case d.Type().IsRegular() && !strings.HasSuffix(e.Name, suffix):
			e.Kind = Regular
		case d.Type().IsRegular() || e.Link:
			if st, err := os.Stat(filepath.Join(dir, e.Name)); err == nil {
				if st.IsDir() {
					e.Kind = Dir
				} else if st.Mode().IsRegular() {
					e.Kind, e.ID = Regular, identity(st)
				}
			}
		}
		out = append(out, e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func identity(st os.FileInfo) Identity {
	return Identity{Size: st.Size(), MtimeNs: st.ModTime().UnixNano()}
}

// Stat returns the identity of a regular file, links followed; false when
// there is none.
func Stat(p string) (Identity, bool) {
	st, err := os.Stat(p)
	if err != nil || !st.Mode().IsRegular() {
		return Identity{}, false
	}
	return identity(st), true
}

// StatAny is Stat for folders too.
func StatAny(p string) (Identity, bool) {
	st, err := os.Stat(p)
	if err != nil {
		return Identity{}, false
	}
	return identity(st), true
}

// Read reads a regular file and returns its bytes with its identity. buf is
// the Linux version's; it is not used here.
func Read(p string, buf []byte) ([]byte, Identity, error) {
	st, err := os.Stat(p)
	if err != nil {
		return nil, Identity{}, err
	}
	if !st.Mode().IsRegular() {
		return nil, Identity{}, errors.New("not a regular file")
	}
	b, err := os.ReadFile(p)
	return b, identity(st), err
}
