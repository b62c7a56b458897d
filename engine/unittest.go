package engine

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pool"
)

// unittest reads the request's arguments where there is no pytest: what
// unittest's command line and that of its discovery know, and the names that
// pytest has for the same. Others are a NoPytestError.
func (r *Request) unittest() (*pool.Unittest, error) {
	u := &pool.Unittest{
		Root: r.Root, Start: ".", Pattern: "test*.py", Verbosity: 1, Where: []string{}, Patterns: []string{},
	}
	if u.Root == "" {
		u.Root = r.Dir
	}
	args := r.Args
	if len(args) > 0 && strings.EqualFold(args[0], "discover") && !file.Exists(file.Abs(r.Dir, args[0])) {
		args = args[1:]
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			u.Where = append(u.Where, args[i+1:]...)
			return u, nil
		case len(a) < 2 || a[0] != '-':
			u.Where = append(u.Where, a)
		case strings.HasPrefix(a, "--"):
			name, value, has := strings.Cut(a, "=")
			if !r.flag(u, name) {
				if !has && valued[name] {
					if i++; i >= len(args) {
						return nil, fmt.Errorf("%s needs an argument", name)
					}
					value = args[i]
				}
				if err := r.value(u, name, value); err != nil {
					return nil, err
				}
			}
		default: // -vb, -kNAME, -k NAME
			for k := 1; k < len(a); k++ {
				name := "-" + a[k:k+1]
				if r.flag(u, name) {
					continue
				}
				value := strings.TrimPrefix(a[k+1:], "=")
				if value == "" && valued[name] {
					if i++; i >= len(args) {
						return nil, fmt.Errorf("%s needs an argument", name)
					}
					value = args[i]
				}
				if err := r.value(u, name, value); err != nil {
					return nil, err
				}
				break
			}
		}
	}
	return u, nil
}

// valued are the options that take an argument.
var valued = map[string]bool{
	"-k": true, "-s": true, "--start-directory": true, "-p": true, "--pattern": true, "-t": true, "--top-level-directory": true,
	"--durations": true, "--maxfail": true,
}

// flag sets an option without an argument, and reports whether it is one.
func (r *Request) flag(u *pool.Unittest, name string) bool {
	switch name {
	case "-v", "--verbose":
		u.Verbosity = 2
	case "-q", "--quiet":
		u.Verbosity = 0
	case "-f", "--failfast", "-x", "--exitfirst":
		u.FailFast = true
	case "-b", "--buffer":
		u.Buffer = true
	case "-c", "--catch":
		u.Catch = true
	case "--locals", "-l", "--showlocals":
		u.Locals = true
	default:
		return false
	}
	return true
}

// value sets an option with an argument.
func (r *Request) value(u *pool.Unittest, name, value string) error {
	switch name {
	case "-k":
		u.Patterns = append(u.Patterns, value)
	case "-s", "--start-directory":
		if !file.IsDir(file.Abs(r.Dir, value)) {
			return fmt.Errorf("%s %s: no such folder; without pytest it says where unittest's discovery starts", name, value)
		}
		u.Start = value
	case "-p", "--pattern":
		if strings.HasPrefix(value, "no:") {
			return &NoPytestError{r.Env, name + " " + value}
		}
		u.Pattern = value
	case "-t", "--top-level-directory":
		u.Top = value
	case "--durations", "--maxfail":
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return fmt.Errorf("%s %s: a number is needed", name, value)
		}
		if m := int(n); name == "--maxfail" {
			u.MaxFail, u.FailFast = m, u.FailFast || m == 1
		} else if u.Durations = &m; !r.Env.Version.AtLeast(3, 12) {
			return fmt.Errorf("--durations: unittest has it since Python 3.12, and %s is of %d.%d", r.Env.Python, r.Env.Version.Major, r.Env.Version.Minor)
		}
	default:
		return &NoPytestError{r.Env, name}
	}
	return nil
}
