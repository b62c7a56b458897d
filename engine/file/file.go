// Package file is the vocabulary for files: absolute paths, what identifies
// the state of a file on disk, digests of content, and changes to it. It knows
// nothing of Python, URIs or editors.
package file

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/zeebo/blake3"

	_ "github.com/dx-py/dx-py-ls/engine/internal/cpu" // before Blake3 is initialised
)

// Digest is the Blake3-256 of a file's bytes.
type Digest [32]byte

// DigestOf returns the digest of content.
func DigestOf(content []byte) Digest { return blake3.Sum256(content) }

// Identity is what the file system says of a file. Two equal identities mean
// the same bytes unless the file was written within the clock's grain of the
// look that saw it (see Racy).
type Identity struct {
	Size    int64
	MtimeNs int64
	CtimeNs int64
	Dev     uint64
	Ino     uint64
}

// RacyWindowNs is how close to a look a modification may be without being
// told apart from a later one: the coarsest clock of the file systems in use
// (ext4 and xfs stamp with the kernel's tick, 4 ms at CONFIG_HZ=250; 10 ms at
// HZ=100), doubled.
const RacyWindowNs = 20e6

// Racy reports whether a file with this identity, seen at the time lookNs,
// may have been written again without its identity changing (git's "racy"
// rule). A racy file is not trusted by its identity: its bytes are hashed.
func (id Identity) Racy(lookNs int64) bool {
	return id.MtimeNs > lookNs-RacyWindowNs || id.CtimeNs > lookNs-RacyWindowNs
}

// Kind is what a directory entry is, links followed.
type Kind uint8

const (
	Other   Kind = iota // neither of the others, or a link that leads nowhere
	Regular             // a regular file
	Dir                 // a directory
)

// Entry is one name in a directory.
type Entry struct {
	Name string
	Kind Kind
	Link bool     // the name itself is a symbolic link
	ID   Identity // of a regular file that was asked for; else zero
}

// Change says that the text of a file is now something else.
type Change struct {
	Path string
	// Text is the whole text of an unsaved buffer; nil when the file on disk
	// counts (again).
	Text []byte
	// Version is the editor's number for Text, 0 for the disk.
	Version int32
}

// Abs returns p as a clean absolute path, relative to dir. Symbolic links stay
// (pytest's absolutepath does the same: os.path.abspath).
func Abs(dir, p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(dir, p)
}

// Rel returns p relative to the directory root, with slashes, and whether p is
// inside root (or is it: "."). Both must be clean and absolute.
func Rel(root, p string) (string, bool) {
	if p == root {
		return ".", true
	}
	if root == "/" {
		return strings.TrimPrefix(p, "/"), true
	}
	if len(p) > len(root) && p[len(root)] == filepath.Separator && p[:len(root)] == root {
		return filepath.ToSlash(p[len(root)+1:]), true
	}
	return "", false
}

// Parents returns the directories that hold p, nearest first, up to the root
// of the file system. p itself is not among them.
func Parents(p string) []string {
	var out []string
	for {
		up := filepath.Dir(p)
		if up == p {
			return out
		}
		out = append(out, up)
		p = up
	}
}

// IsRegular reports whether p is a regular file, links followed.
func IsRegular(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.Mode().IsRegular()
}

// IsDir reports whether p is a directory, links followed.
func IsDir(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.IsDir()
}

// Exists reports whether p names anything, links followed.
func Exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}
