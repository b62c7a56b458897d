//go:build !linux

package pyenv

import "runtime"

var platform = map[string]string{"darwin": "darwin", "windows": "win32", "freebsd": "freebsd14"}[runtime.GOOS]
