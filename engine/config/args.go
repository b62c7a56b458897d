package config

import (
	"fmt"
	"strings"
)

// Options is what pytest's command line, addopts included, says about which
// tests there are.
type Options struct {
	Args []string // paths and node ids, as given

	Keyword, MarkExpr         string
	Ignore, IgnoreGlob        []string
	Deselect                  []string
	ImportMode                string // prepend, append, importlib
	PyArgs                    bool
	ConfCutDir                string
	NoConftest                bool
	ConfigFile, RootDir       string
	KeepDuplicates            bool
	CollectInVirtualenv       bool
	DoctestModules            bool
	DoctestGlobs              []string
	DoctestIgnoreImportErrors bool
	Plugins                   []string // -p: names, "no:" in front of what is blocked
	NoAutoload                bool     // --disable-plugin-autoload
	Override                  []string // -o KEY=VALUE
	StrictMarkers             bool
	Interactive               bool // -s, --pdb, --trace: tests may read the terminal
	Parallel                  Parallel

	// Unknown are options that are in no table. They are taken to have no
	// argument but what stands behind "="; a plugin's may have one.
	Unknown []string
	outcome []string // options of outcomeOptions, with their arguments

	at []int // where Args stand in what was parsed last
}

// Positional returns the places of a command line that hold paths and node
// ids, and its options.
func Positional(args []string) ([]int, *Options, error) {
	var o Options
	err := o.parse(args)
	return o.at, &o, err
}

// ParallelOf is what a command line says about workers.
func ParallelOf(args []string) Parallel {
	var o Options
	_ = o.parse(args) // pytest will say what is wrong
	return o.Parallel
}

// Shape names what a command line says about which tests there are, but for
// the places, names and marks that it asks for.
func Shape(args []string) string {
	var o Options
	_ = o.parse(args) // pytest will say what is wrong
	o.Args, o.at, o.Keyword, o.MarkExpr, o.Deselect = nil, nil, "", "", nil
	o.Interactive, o.Parallel, o.outcome = false, Parallel{}, nil
	return fmt.Sprintf("%#v", o)
}

// Outcome names what a command line says about how tests end, beside which
// there are: warnings that are errors, limits, modes of plugins.
func Outcome(args []string) string {
	var o Options
	_ = o.parse(args) // pytest will say what is wrong
	return strings.Join(o.outcome, "\x00")
}

// parse reads a command line into o. Later options win, as argparse has it.
func (o *Options) parse(args []string) error {
	o.at = nil
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			o.Args = append(o.Args, args[i+1:]...)
			for i++; i < len(args); i++ {
				o.at = append(o.at, i)
			}
			return nil
		}
		if len(a) < 2 || a[0] != '-' {
			o.Args = append(o.Args, a)
			o.at = append(o.at, i)
			continue
		}
		name, val, eq := a, "", false
		if strings.HasPrefix(a, "--") {
			name, val, eq = strings.Cut(a, "=")
		}
		opt := lookup(name)
		if opt == nil && a[1] != '-' {
			var err error
			if i, err = o.cluster(args, i); err != nil {
				return err
			}
			continue
		}
		arity := 0
		switch {
		case opt != nil:
			arity, name = opt.arity, opt.names[0]
		default:
			n, known := pluginOptions[name]
			if !known {
				o.Unknown = append(o.Unknown, a)
			}
			arity = n
		}
		if arity == 1 && !eq {
			if i+1 >= len(args) {
				return usage("argument %s: expected one argument", a)
			}
			i++
			val = args[i]
		}
		if opt != nil {
			o.set(name, val)
		} else {
			o.Parallel.set(name, val)
			if outcomeOptions[name] {
				o.outcome = append(o.outcome, name+"="+val)
			}
		}
	}
	return nil
}

// Parallel is what pytest-xdist's options say, which are ours to do.
type Parallel struct {
	Workers, Max, Dist string // -n, --maxprocesses, --dist, as given; "" when not
	Tx                 []string
}

func (p *Parallel) set(name, v string) {
	switch name {
	case "-n", "--numprocesses":
		p.Workers = v
	case "--maxprocesses":
		p.Max = v
	case "--dist":
		p.Dist = v
	case "-d", "--distload":
		p.Dist = "load"
	case "--tx":
		p.Tx = append(p.Tx, v)
	}
}

// lookup finds an option by its name, or by an unambiguous beginning of a long
// one.
func lookup(name string) *option {
	if o := byName[name]; o != nil || !strings.HasPrefix(name, "--") {
		return o
	}
	if _, plugin := pluginOptions[name]; plugin {
		return nil
	}
	var found *option
	for n, o := range byName {
		if strings.HasPrefix(n, name) {
			if found != nil && found != o {
				return nil
			}
			found = o
		}
	}
	return found
}

// cluster reads short options that stand together: -xvs, -kexpr, -nauto.
func (o *Options) cluster(args []string, i int) (int, error) {
	a := args[i]
	for k := 1; k < len(a); k++ {
		name := "-" + a[k:k+1]
		opt := byName[name]
		arity := 0
		if opt != nil {
			arity = opt.arity
		} else if n, ok := pluginOptions[name]; ok {
			arity = n
		} else {
			o.Unknown = append(o.Unknown, a)
			return i, nil
		}
		if arity == 0 {
			if opt != nil {
				o.set(opt.names[0], "")
			} else {
				o.Parallel.set(name, "")
			}
			continue
		}
		val := strings.TrimPrefix(a[k+1:], "=")
		if k+1 >= len(a) {
			if i++; i >= len(args) {
				return i, usage("argument %s: expected one argument", name)
			}
			val = args[i]
		}
		if opt != nil {
			o.set(opt.names[0], val)
		} else {
			o.Parallel.set(name, val)
		}
		return i, nil
	}
	return i, nil
}

func (o *Options) set(name, v string) {
	if outcomeOptions[name] {
		o.outcome = append(o.outcome, name+"="+v)
	}
	switch name {
	case "-s", "--pdb", "--trace":
		o.Interactive = true
	case "--capture":
		o.Interactive = o.Interactive || v == "no"
	case "-k":
		o.Keyword = v
	case "-m":
		o.MarkExpr = v
	case "--ignore":
		o.Ignore = append(o.Ignore, v)
	case "--ignore-glob":
		o.IgnoreGlob = append(o.IgnoreGlob, v)
	case "--deselect":
		o.Deselect = append(o.Deselect, v)
	case "--import-mode":
		o.ImportMode = v
	case "--pyargs":
		o.PyArgs = true
	case "--confcutdir":
		o.ConfCutDir = v
	case "--noconftest":
		o.NoConftest = true
	case "-c":
		o.ConfigFile = v
	case "--rootdir":
		o.RootDir = v
	case "--keepduplicates":
		o.KeepDuplicates = true
	case "--collect-in-virtualenv":
		o.CollectInVirtualenv = true
	case "--doctest-modules":
		o.DoctestModules = true
	case "--doctest-glob":
		o.DoctestGlobs = append(o.DoctestGlobs, v)
	case "--doctest-ignore-import-errors":
		o.DoctestIgnoreImportErrors = true
	case "-p":
		o.Plugins = append(o.Plugins, strings.TrimSpace(v))
	case "--disable-plugin-autoload":
		o.NoAutoload = true
	case "-o":
		o.Override = append(o.Override, v)
	case "--strict-markers":
		o.StrictMarkers = true
	case "--strict":
		o.StrictMarkers = true
		o.Override = append(o.Override, "strict=true")
	}
}

// splitWords is shlex.split in POSIX mode.
func splitWords(s string) ([]string, error) {
	var out []string
	var b strings.Builder
	in := false
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == '\'':
			if c == '\'' {
				quote = 0
			} else {
				b.WriteByte(c)
			}
		case quote == '"':
			if c == '"' {
				quote = 0
			} else if c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
				i++
				b.WriteByte(s[i])
			} else {
				b.WriteByte(c)
			}
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == '\\':
			if i+1 >= len(s) {
				return nil, usage("no escaped character in %q", s)
			}
			i++
			in = true
			b.WriteByte(s[i])
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if in {
				out = append(out, b.String())
				b.Reset()
				in = false
			}
		default:
			in = true
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, usage("no closing quotation in %q", s)
	}
	if in {
		out = append(out, b.String())
	}
	return out, nil
}
