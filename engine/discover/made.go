package discover

import (
	"os"
	"path/filepath"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
)

// What following code makes: instances, the namespaces of classes with a
// metaclass, and what it asks of the file system.

// object is an instance whose __init__ was followed.
type object struct {
	class *class
	attrs map[string]pyeval.Value
}

func (o *object) PyName() string { return "" }
func (o *object) Attr(name string) pyeval.Value {
	if v, ok := o.attrs[name]; ok {
		return v
	}
	if name == "copy" { // of a dict of the project's own kind
		return &symbol{w: o.class.mod.w, path: "copy.copy"}
	}
	return pyeval.Unknown{Why: "attribute " + name}
}
func (o *object) Call([]pyeval.Value, map[string]pyeval.Value) pyeval.Value { return failed }

// construct follows the __init__ of a plain class of the project; nil when
// that is not certain.
func (c *class) construct(args []pyeval.Value, kwargs map[string]pyeval.Value) pyeval.Value {
	v, owner, ok := c.find("__init__")
	if !ok {
		return nil
	}
	fn, isFunc := v.(*function)
	if !isFunc || owner == nil || !c.plain() {
		return nil
	}
	call := fn.callee()
	if call == nil {
		return nil
	}
	o := &object{class: c, attrs: map[string]pyeval.Value{}}
	if r := call.call(append([]pyeval.Value{o}, args...), kwargs); pyeval.IsUnknown(r) {
		return nil
	}
	return o
}

// made executes the metaclass of a class that has one in the project, and
// adds what its __new__ puts into the namespace.
func (c *class) made() {
	meta, ok := c.meta.(*class)
	if !ok || c.metaDone {
		return
	}
	c.metaDone = true
	v, _, found := meta.find("__new__")
	fn, isFunc := v.(*function)
	if !found || !isFunc {
		return
	}
	call := fn.callee()
	if call == nil {
		return
	}
	d := &pyeval.Dict{}
	for _, e := range c.scope.entries {
		if v, ok := c.scope.at(e.name, always); ok {
			d.Set(pyeval.Str(e.name), v)
		}
	}
	w := c.mod.w
	f := &frame{w: w, mod: call.mod, row: call.row, locals: map[string]pyeval.Value{}, fresh: map[string]bool{}}
	if !call.bind(f, []pyeval.Value{meta, pyeval.Str(c.name), pyeval.Tuple{}, d}, nil) {
		return
	}
	params, _ := pyexpr.ParseParams(call.params)
	if len(params) == 4 {
		f.fresh[params[3].Name] = true // nobody else holds the new namespace
	}
	if r, ok := f.run(w.bodyOf(call.body)).(newType); ok {
		c.metaKnown = true
		for i, k := range r.dict.Keys {
			name, ok := k.(pyeval.Str)
			if !ok {
				continue
			}
			if old := c.scope.index[string(name)]; old == nil || !isStatic(old) {
				c.scope.bind(string(name), binding{kind: bindMade, stmt: c.stmt, value: r.dict.Values[i]})
			}
		}
	}
}

func isStatic(e *entry) bool { return e.binds[len(e.binds)-1].kind != bindMade }

// newType is what type.__new__(cls, name, bases, namespace) returns.
type newType struct{ dict *pyeval.Dict }

// typeNew is type.__new__, and super().__new__ in a metaclass.
type typeNew struct{}

func (typeNew) PyName() string           { return "__new__" }
func (typeNew) Attr(string) pyeval.Value { return failed }
func (typeNew) Call(args []pyeval.Value, _ map[string]pyeval.Value) pyeval.Value {
	if len(args) == 4 {
		if d, ok := args[3].(*pyeval.Dict); ok {
			return newType{d}
		}
	}
	return failed
}

// fileSystem answers os.listdir and os.path.is*, inside of the project.
func (w *world) fileSystem(name string, args []pyeval.Value) pyeval.Value {
	var p string
	switch v := one(args).(type) {
	case pyeval.Str:
		p = string(v)
	case pyeval.Path:
		p = v.Text
	default:
		return failed
	}
	if p == "" && name != "os.listdir" {
		return pyeval.Bool(false)
	}
	if !filepath.IsAbs(p) {
		p = file.Abs(w.cfg.Dir, p)
	}
	if _, in := file.Rel(w.cfg.Root, filepath.Clean(p)); !in {
		return failed
	}
	switch name {
	case "os.listdir":
		es := w.in.Source.List(filepath.Clean(p))
		if es == nil {
			return failed
		}
		// The order is the directory's own, which nothing else here has.
		names := []string{}
		if d, err := os.Open(p); err == nil {
			names, _ = d.Readdirnames(-1)
			d.Close()
		}
		if len(names) != len(es) {
			return failed
		}
		out := make([]pyeval.Value, len(names))
		for i, name := range names {
			out[i] = pyeval.Str(name)
		}
		return &pyeval.List{Items: out}
	case "os.path.isdir":
		return pyeval.Bool(w.kindOf(p) == file.Dir)
	case "os.path.isfile":
		return pyeval.Bool(w.kindOf(p) == file.Regular)
	}
	k := w.kindOf(p)
	return pyeval.Bool(k == file.Dir || k == file.Regular)
}

func (w *world) kindOf(p string) file.Kind {
	p = filepath.Clean(p)
	if p == w.cfg.Root {
		return file.Dir
	}
	name := filepath.Base(p)
	for _, e := range w.in.Source.List(filepath.Dir(p)) {
		if e.Name == name {
			return e.Kind
		}
	}
	return file.Other
}
