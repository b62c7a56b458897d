package discover

import (
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/resolve"
)

// symbol is a part of a library that is known by its dotted name: pytest and
// the modules of the standard library that tests build their values with.
// Reading their source instead would end at C code.
type symbol struct {
	w    *world
	path string
}

// library are the modules that symbols stand for, when they are the real ones.
var library = words(`pytest _pytest unittest unittest.mock mock functools enum typing typing_extensions abc sys os os.path platform itertools
	pathlib string math operator datetime decimal collections collections.abc re types importlib importlib.util importlib.machinery
	dataclasses copy io uuid hypothesis hypothesis.strategies freezegun contextlib threading textwrap builtins fractions json
	random time tempfile warnings inspect numbers zoneinfo socket ssl signal`)

// thirdParty are modules of library that are no part of the standard library.
var thirdParty = words(`pytest _pytest mock typing_extensions hypothesis freezegun`)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

func isLibrary(dotted string) bool {
	return library[dotted] || strings.HasPrefix(dotted, "_pytest.") || strings.HasPrefix(dotted, "hypothesis.")
}

// opaqueClasses are classes whose instances have no __name__ and an id from
// the argument's name, with any arguments.
var opaqueClasses = words(`datetime.date datetime.datetime datetime.time datetime.timedelta datetime.timezone decimal.Decimal
	fractions.Fraction collections.OrderedDict collections.deque collections.defaultdict collections.Counter collections.ChainMap
	pathlib.Path pathlib.PurePath pathlib.PosixPath pathlib.WindowsPath pathlib.PurePosixPath pathlib.PureWindowsPath io.StringIO
	io.BytesIO io.TextIOWrapper uuid.UUID functools.partial types.SimpleNamespace types.MappingProxyType operator.itemgetter
	operator.attrgetter operator.methodcaller unittest.mock.Mock unittest.mock.MagicMock mock.Mock mock.MagicMock random.Random
	threading.Event threading.Lock array.array zoneinfo.ZoneInfo collections.UserDict collections.UserList itertools.count
	itertools.cycle`)

// libraryClasses are good as bases and for their name; their instances are not known.
var libraryClasses = words(`unittest.TestCase unittest.case.TestCase unittest.IsolatedAsyncioTestCase unittest.async_case.IsolatedAsyncioTestCase
	unittest.FunctionTestCase abc.ABC typing.Generic typing.Protocol typing_extensions.Protocol typing.NamedTuple typing.TypedDict
	enum.Enum enum.IntEnum enum.Flag enum.IntFlag enum.StrEnum enum.EnumMeta enum.EnumType abc.ABCMeta datetime.tzinfo
	collections.namedtuple io.IOBase io.RawIOBase io.BufferedIOBase io.TextIOBase json.JSONEncoder json.JSONDecoder
	json.JSONDecodeError socket.socket threading.Thread string.Formatter string.Template inspect.Parameter inspect.Signature
	collections.abc.Mapping collections.abc.MutableMapping collections.abc.Sequence collections.abc.MutableSequence
	collections.abc.Set collections.abc.MutableSet collections.abc.Iterable collections.abc.Iterator collections.abc.Hashable
	collections.abc.Callable collections.abc.Container collections.abc.Sized collections.abc.Generator collections.abc.Awaitable
	decimal.InvalidOperation decimal.DecimalException ssl.SSLError socket.timeout socket.gaierror
	contextlib.ContextDecorator contextlib.AbstractContextManager contextlib.ExitStack contextlib.nullcontext dataclasses.InitVar
	warnings.catch_warnings re.Pattern types.FunctionType types.ModuleType types.MethodType types.TracebackType numbers.Number
	numbers.Integral numbers.Real numbers.Rational`)

// LibraryPath is the dotted name.
func (s *symbol) LibraryPath() string { return s.path }

// isClass reports whether the symbol is a class that is known.
func (s *symbol) isClass() bool { return opaqueClasses[s.path] || libraryClasses[s.path] }

// classAliases are classes whose __name__ is not the last part of their path.
var classAliases = map[string]string{
	"socket.timeout": "TimeoutError", "socket.error": "OSError", "os.error": "OSError", "types.FunctionType": "function",
	"types.ModuleType": "module", "types.MethodType": "method", "types.TracebackType": "traceback", "types.MappingProxyType": "mappingproxy",
	"enum.EnumMeta": "EnumType", "types.LambdaType": "function", "types.NoneType": "NoneType",
	"pathlib.WindowsPath": "WindowsPath",
}

func (s *symbol) PyName() string {
	last := s.path[strings.LastIndexByte(s.path, '.')+1:]
	switch {
	case s.path == "os.path":
		return "posixpath"
	case library[s.path]:
		return s.path
	case classAliases[s.path] != "":
		return classAliases[s.path]
	case s.isClass():
		return last
	}
	switch topOf(s.path) {
	case "operator", "math", "itertools", "copy":
		if strings.Count(s.path, ".") == 1 && !constants[s.path] {
			return last
		}
	case "os":
		if osFunctions[s.path] {
			return last
		}
	}
	return ""
}

var constants = words(`math.pi math.e math.tau math.inf math.nan`)

var osFunctions = words(`os.listdir os.getcwd os.remove os.unlink os.path.join os.path.exists os.path.isfile os.path.isdir os.path.dirname
	os.path.basename os.path.abspath os.fspath os.urandom`)

func (s *symbol) Attr(name string) pyeval.Value {
	path := s.path + "." + name
	env := s.w.env
	switch path {
	case "sys.platform":
		if env.Platform != "" {
			return pyeval.Str(env.Platform)
		}
	case "sys.version_info", "sys.hexversion":
		if env.Stdlib != "" && path == "sys.version_info" {
			return versionInfo(env)
		}
	case "sys.builtin_module_names":
		return pyeval.Tuple{Items: []pyeval.Value{pyeval.Str("sys"), pyeval.Str("builtins")}, Type: "builtin_module_names"}
	case "sys.implementation.name":
		return pyeval.Str("cpython")
	case "sys.maxsize":
		return pyeval.Int(1<<63 - 1)
	case "sys.byteorder":
		return pyeval.Str("little")
	case "sys.maxunicode":
		return pyeval.Int(0x10ffff)
	case "sys.float_info.max":
		return pyeval.Float(1.7976931348623157e+308)
	case "os.name":
		if env.Platform == "win32" {
			return pyeval.Str("nt")
		}
		return pyeval.Str("posix")
	case "os.sep":
		return pyeval.Str("/")
	case "os.linesep":
		return pyeval.Str("\n")
	case "os.pathsep":
		return pyeval.Str(":")
	case "os.curdir":
		return pyeval.Str(".")
	case "os.pardir":
		return pyeval.Str("..")
	case "os.devnull":
		return pyeval.Str("/dev/null")
	case "typing.TYPE_CHECKING", "typing_extensions.TYPE_CHECKING":
		return pyeval.Bool(false)
	case "math.pi":
		return pyeval.Float(3.141592653589793)
	case "math.e":
		return pyeval.Float(2.718281828459045)
	case "math.inf":
		return pyeval.Float(inf)
	case "math.nan":
		return pyeval.Float(nan)
	case "string.ascii_letters":
		return pyeval.Str("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	case "string.ascii_lowercase":
		return pyeval.Str("abcdefghijklmnopqrstuvwxyz")
	case "string.ascii_uppercase":
		return pyeval.Str("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	case "string.digits":
		return pyeval.Str("0123456789")
	case "string.hexdigits":
		return pyeval.Str("0123456789abcdefABCDEF")
	case "string.octdigits":
		return pyeval.Str("01234567")
	case "string.punctuation":
		return pyeval.Str("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
	case "string.whitespace":
		return pyeval.Str(" \t\n\r\v\f")
	case "string.printable":
		return pyeval.Str("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \t\n\r\v\f")
	case "pytest.HIDDEN_PARAM":
		return pyeval.Hidden{}
	case "pytest.__version__":
		return pyeval.Str(s.w.cfg.Version.String())
	case "datetime.timezone.utc", "datetime.UTC", "datetime.datetime.min", "datetime.datetime.max", "datetime.date.min", "datetime.date.max":
		return pyeval.Instance{Class: &symbol{s.w, "datetime.datetime"}}
	case "os.environ", "sys.modules", "sys.path", "sys.argv", "sys.flags", "sys.implementation", "sys.float_info":
		return &symbol{s.w, path}
	}
	if strings.HasPrefix(s.path, "pytest.mark.") {
		return pyeval.Unknown{Why: "attribute of a mark"}
	}
	if strings.HasPrefix(path, "builtins.") {
		return pyeval.Builtin(name, env.Version.Minor)
	}
	if name == "__name__" {
		if n := s.PyName(); n != "" {
			return pyeval.Str(n)
		}
	}
	return &symbol{s.w, path}
}

// closed reports whether names lists all that a star import takes.
func (s *symbol) closed() bool {
	return s.path == "typing" || s.path == "unittest" || s.path == "pytest"
}

func (s *symbol) names() []string {
	switch s.path {
	case "unittest":
		return strings.Fields("TestCase TestSuite TextTestRunner main skip skipIf skipUnless expectedFailure IsolatedAsyncioTestCase SkipTest TestLoader TestResult")
	case "pytest":
		return strings.Fields("mark param fixture skip importorskip raises fail xfail approx warns deprecated_call exit main hookimpl")
	}
	return strings.Fields("Any Callable Dict List Optional Tuple Union Iterable Iterator TYPE_CHECKING Generic TypeVar NamedTuple cast overload Type Set Mapping Sequence")
}

// mutators are the functions of library that change an argument.
var mutators = words(`random.shuffle operator.setitem operator.delitem operator.iadd operator.iconcat operator.ior operator.iand
	operator.isub operator.ixor operator.imul`)

// pure reports whether calling it changes none of its arguments.
func (s *symbol) pure() bool { return !mutators[s.path] }

// mark is a pytest mark, with what it was called with.
type mark struct {
	name   string
	args   []pyeval.Value
	kwargs map[string]pyeval.Value
}

func (m mark) PyName() string           { return "" }
func (m mark) Attr(string) pyeval.Value { return pyeval.Unknown{Why: "attribute of a mark"} }
func (m mark) Call(args []pyeval.Value, kwargs map[string]pyeval.Value) pyeval.Value {
	if len(args) == 1 && len(kwargs) == 0 && len(m.args) == 0 && len(m.kwargs) == 0 {
		switch args[0].(type) {
		case *function, *class: // @pytest.mark.slow used as a call on a function
			return marked{args[0], m}
		}
	}
	out := mark{m.name, append(append([]pyeval.Value{}, m.args...), args...), map[string]pyeval.Value{}}
	for k, v := range m.kwargs {
		out.kwargs[k] = v
	}
	for k, v := range kwargs {
		out.kwargs[k] = v
	}
	return out
}

// marked is a function or class to which a mark was applied by a call.
type marked struct {
	of   pyeval.Value
	mark mark
}

// fixtureDecorator is pytest.fixture with its options.
type fixtureDecorator struct {
	kwargs map[string]pyeval.Value
}

func (f fixtureDecorator) PyName() string           { return "" }
func (f fixtureDecorator) Attr(string) pyeval.Value { return pyeval.Unknown{Why: "attribute"} }
func (f fixtureDecorator) Call(args []pyeval.Value, _ map[string]pyeval.Value) pyeval.Value {
	if len(args) == 1 {
		if fn, ok := args[0].(*function); ok {
			return fixtureValue{fn, f}
		}
	}
	return fixtureValue{nil, f}
}

// fixtureValue is the result of pytest.fixture(...)(function).
type fixtureValue struct {
	fn        *function
	decorator fixtureDecorator
}

func (s *symbol) Call(args []pyeval.Value, kwargs map[string]pyeval.Value) pyeval.Value {
	if name, ok := s.markName(); ok {
		return mark{name: name}.Call(args, kwargs)
	}
	switch s.path {
	case "pytest.param", "_pytest.mark.param", "_pytest.mark.structures.param":
		p := pyeval.Param{Values: args, ID: pyeval.None{}}
		for k, v := range kwargs {
			switch k {
			case "id":
				p.ID = v
			case "marks":
				if items, ok := pyeval.Iterate(v); ok {
					p.Marks = items
				} else {
					p.Marks = []pyeval.Value{v}
				}
			}
		}
		return p
	case "pytest.fixture", "pytest_asyncio.fixture", "pytest.yield_fixture":
		d := fixtureDecorator{kwargs}
		if len(args) == 1 {
			if fn, ok := args[0].(*function); ok {
				return fixtureValue{fn, d}
			}
		}
		return d
	case "pytest.importorskip":
		if name, ok := one(args).(pyeval.Str); ok {
			return s.w.importDotted(string(name), "")
		}
	case "re.compile":
		if len(args) > 0 {
			return pyeval.Pattern{Source: args[0], Flags: len(args)+len(kwargs) > 1}
		}
	case "importlib.util.find_spec":
		if name, ok := one(args).(pyeval.Str); ok && len(kwargs) == 0 && s.w.env.Stdlib != "" {
			if s.w.res.Find(string(name), "").Kind == resolve.NotFound {
				return pyeval.None{}
			}
			return pyeval.Instance{Class: &symbol{s.w, "importlib.machinery.ModuleSpec"}}
		}
	case "importlib.import_module":
		if name, ok := one(args).(pyeval.Str); ok && len(kwargs) == 0 && !strings.HasPrefix(string(name), ".") {
			return s.w.importDotted(string(name), "")
		}
	case "platform.system":
		return pyeval.Str(map[string]string{"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[s.w.env.Platform])
	case "platform.python_implementation":
		return pyeval.Str("CPython")
	case "typing.cast":
		if len(args) == 2 {
			return args[1]
		}
	case "copy.copy", "copy.deepcopy":
		return one(args)
	case "textwrap.dedent":
		if t, ok := one(args).(pyeval.Str); ok {
			return pyeval.Str(dedent(string(t)))
		}
	case "os.listdir", "os.path.isdir", "os.path.isfile", "os.path.exists":
		return s.w.fileSystem(s.path, args)
	case "unittest.skip", "unittest.skipIf", "unittest.skipUnless":
		return identity{}
	case "os.fspath":
		if p, ok := one(args).(pyeval.Path); ok {
			return pyeval.Str(p.Text)
		}
	case "sys.getfilesystemencoding":
		return pyeval.Str("utf-8")
	case "types.MappingProxyType":
		if d, ok := one(args).(*pyeval.Dict); ok {
			return d
		}
	case "collections.OrderedDict":
		if len(args) <= 1 && len(kwargs) == 0 {
			return pyeval.Call(pyeval.Builtin("dict", 8), args, kwargs)
		}
	case "pathlib.Path", "pathlib.PurePath", "pathlib.PurePosixPath", "pathlib.PosixPath":
		return pathOf(args)
	}
	if strings.HasPrefix(s.path, "itertools.") {
		return itertools(strings.TrimPrefix(s.path, "itertools."), args, kwargs)
	}
	if strings.HasPrefix(s.path, "os.path.") {
		return osPath(strings.TrimPrefix(s.path, "os.path."), args)
	}
	if opaqueClasses[s.path] {
		return pyeval.Instance{Class: s}
	}
	// alternative constructors: datetime.fromisoformat, Decimal.from_float, ...
	if i := strings.LastIndexByte(s.path, '.'); i > 0 && opaqueClasses[s.path[:i]] && constructors[s.path[i+1:]] {
		return pyeval.Instance{Class: &symbol{s.w, s.path[:i]}}
	}
	return pyeval.Unknown{Why: "call of " + s.path}
}

// AnyArgs reports whether a call gives an opaque instance whatever the
// arguments are.
func (s *symbol) AnyArgs() bool { return opaqueClasses[s.path] && s.path != "collections.OrderedDict" }

// identity is a decorator that leaves what it decorates a test.
type identity struct{}

func (identity) PyName() string           { return "" }
func (identity) Attr(string) pyeval.Value { return failed }
func (identity) Call(args []pyeval.Value, _ map[string]pyeval.Value) pyeval.Value {
	return one(args)
}

var constructors = words(`now utcnow today fromtimestamp utcfromtimestamp fromordinal fromisoformat strptime combine fromisocalendar
	from_float from_decimal fromkeys cwd home`)

// markName returns X of pytest.mark.X.
func (s *symbol) markName() (string, bool) {
	for _, p := range [...]string{"pytest.mark.", "_pytest.mark.MARK_GEN."} {
		if name, ok := strings.CutPrefix(s.path, p); ok && !strings.Contains(name, ".") {
			return name, true
		}
	}
	return "", false
}

func one(args []pyeval.Value) pyeval.Value {
	if len(args) != 1 {
		return pyeval.Unknown{Why: "arguments"}
	}
	return args[0]
}

func pathOf(args []pyeval.Value) pyeval.Value {
	if len(args) == 0 {
		return pyeval.Path{Text: "."}
	}
	var p pyeval.Value = pyeval.Path{}
	for i, a := range args {
		if i == 0 {
			if s, ok := a.(pyeval.Str); ok {
				p = pyeval.NewPath(string(s))
				continue
			}
			if q, ok := a.(pyeval.Path); ok {
				p = q
				continue
			}
			return pyeval.Instance{Class: &symbol{path: "pathlib.Path"}}
		}
		p = pyeval.Combine('/', p, a)
	}
	return p
}
