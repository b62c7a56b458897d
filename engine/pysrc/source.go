package pysrc

import "github.com/dx-py/dx-py-ls/engine/file"

// Source gives modules and directories. It must be safe for concurrent use.
type Source interface {
	// Module returns the module of a file, nil when it cannot be read.
	Module(path string) *Module
	// List returns a directory's entries sorted by name; nil when there are
	// none or it cannot be read. Regular files that end in .py have their
	// identities.
	List(dir string) []file.Entry
	// Text returns the content of a file that is no Python source.
	Text(path string) ([]byte, error)
	// Prefetch says that these files are about to be asked for.
	Prefetch(paths []string)
}
