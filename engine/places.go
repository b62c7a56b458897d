package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/config"
)

// places returns where the arguments have files, folders and ids, and what of
// these pytest's session depends on before it collects: the folders that it
// loads conftests of first, in order, and the configuration that it finds from
// them; "" where that is not plain (_set_initial_conftests, determine_setup in
// _pytest/config of 6.2 to 9.2).
func (r *Request) places(args []string) (at []int, known string) {
	at, options, err := config.Positional(args)
	if err != nil || r.Config == nil || len(at) == 0 || options.PyArgs || r.Config.PyArgs || len(r.Config.Args) != len(at) {
		return at, ""
	}
	var folders []string
	for _, i := range at {
		path, _, _ := strings.Cut(args[i], "::")
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.Dir, path)
		}
		info, err := os.Stat(path)
		if err != nil {
			return at, ""
		}
		folder := filepath.Dir(path)
		if info.IsDir() {
			folder = path + "/*"
		}
		if !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return at, fmt.Sprintf("%q %q %q", r.Config.Root, r.Config.IniPath, folders)
}
