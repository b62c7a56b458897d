package history

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/dx-py/dx-py-ls/engine/store"
)

// Which functions each test enters, as passes saw it that ran each test alone.

// executedVersion changes with the encoding of the records.
const executedVersion = 3

// maxPasses is how many passes are kept: one of all tests, and one of each run
// behind it. What an older one has seen is forgotten: these tests go by files
// until they are seen again.
const maxPasses = 48

// maxExecutions is how many of a test are kept: an edit that is taken back finds
// what was seen before it.
const maxExecutions = 4

// maxFunctions bounds the table of functions; beyond it all is forgotten.
const maxFunctions = 1 << 20

// Pass is one look at a project in a state.
type Pass struct {
	Env   string // as Known's
	When  time.Time
	State State
	// Session is what runs for all tests, before, between or behind them, while
	// files are imported too: functions by file.
	Session map[string][]string
	// Opaque are files whose code started processes for the session; "" is
	// nobody's: the session's own.
	Opaque []string
	Early  []string // files of the project that were loaded before anybody looked
}

// Execution is what a test entered.
type Execution struct {
	*Pass
	Number  int // of the pass
	entered []uint32
	table   *functions
}

// Enters reports whether the test entered a function, or might have as the
// session did.
func (x *Execution) Enters(file, name string) bool {
	if slices.Contains(x.Session[file], name) {
		return true
	}
	n, there := x.table.numbers[function{file, name}]
	_, found := slices.BinarySearch(x.entered, n)
	return there && found
}

// Functions lists what the test itself entered, by file.
func (x *Execution) Functions() map[string][]string {
	out := map[string][]string{}
	for _, n := range x.entered {
		f := x.table.all[n]
		out[f[0]] = append(out[f[0]], f[1])
	}
	return out
}

// Audit says that what goes by functions was compared with runs of all tests.
type Audit struct {
	Env   string // as Known's
	When  time.Time
	Tests int // that go by functions
}

type function [2]string // file, name

type functions struct {
	all     []function
	numbers map[function]uint32
}

// The records of one root beside those of tests.
const (
	tableKey  = "\x00functions"
	passesKey = "\x00passes"
	auditKey  = "\x00audit"
)

// passKey is where the n-th pass lies.
func passKey(n int) string { return "\x00pass" + string(binary.AppendUvarint(nil, uint64(n))) }

// Executed is what is known of a root. It is not safe for concurrent use.
// Close it.
type Executed struct {
	store  *store.File
	table  *functions
	passes map[int]*Pass
}

// OpenExecuted opens it in a root's state folder.
func OpenExecuted(dir string) *Executed {
	return &Executed{store: store.Open(dir, "executed", executedVersion), passes: map[int]*Pass{}}
}

// Close unmaps what was read.
func (e *Executed) Close() { e.store.Close() }

func (e *Executed) get(key string, v any) bool {
	r, ok := e.store.Get(key)
	return ok && json.Unmarshal(r.Data, v) == nil
}

// Audit is the last one that found nothing wrong; false when there is none.
func (e *Executed) Audit() (a Audit, ok bool) { return a, e.get(auditKey, &a) }

// SetAudit keeps it; an Audit without a time takes it back.
func (e *Executed) SetAudit(a Audit) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return e.store.Save([]store.Record{{Key: auditKey, Data: data}}, func(string) bool { return true })
}

func (e *Executed) functions() *functions {
	if e.table == nil {
		e.table = &functions{numbers: map[function]uint32{}}
		if !e.get(tableKey, &e.table.all) {
			e.table.all = nil
		}
		for i, f := range e.table.all {
			e.table.numbers[f] = uint32(i)
		}
	}
	return e.table
}

func (e *Executed) pass(n int) *Pass {
	p, read := e.passes[n]
	if !read {
		p = new(Pass)
		if !e.get(passKey(n), p) {
			p = nil
		}
		e.passes[n] = p
	}
	return p
}

// Of is what a test entered, as the newest passes saw it, the newest first.
func (e *Executed) Of(id string) (all []Execution) {
	r, ok := e.store.Get(id)
	if !ok {
		return nil
	}
	for _, data := range split(r.Data) {
		if x, ok := e.execution(data); ok {
			all = append(all, x)
		}
	}
	return all
}

// split parts a test's record into those of passes, each behind its length.
func split(data []byte) (all [][]byte) {
	for len(data) > 0 {
		size, n := binary.Uvarint(data)
		if n <= 0 || size > uint64(len(data)-n) {
			return all
		}
		all = append(all, data[n:n+int(size)])
		data = data[n+int(size):]
	}
	return all
}

func (e *Executed) execution(data []byte) (x Execution, ok bool) {
	ok = true
	next := func() uint64 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			ok, data = false, nil
			return 0
		}
		data = data[n:]
		return v
	}
	x.Number, x.table = int(next()), e.functions()
	last := uint64(0)
	for len(data) > 0 {
		last += next()
		if last >= uint64(len(x.table.all)) {
			return x, false
		}
		x.entered = append(x.entered, uint32(last))
	}
	x.Pass = e.pass(x.Number)
	return x, ok && x.Pass != nil
}

// Keep adds what a pass saw: functions by file, by test. Of tests that are nil
// it forgets what is known.
func (e *Executed) Keep(p Pass, tests map[string]map[string][]string) error {
	var passes []int
	e.get(passesKey, &passes)
	table := e.functions()
	forget := len(table.all) > maxFunctions
	if forget {
		passes, table = nil, &functions{numbers: map[function]uint32{}}
		e.table = table
	}
	number := 1
	if len(passes) > 0 {
		number = passes[len(passes)-1] + 1
	}
	if passes = append(passes, number); len(passes) > maxPasses {
		passes = passes[1:]
	}
	var add []store.Record
	for _, id := range slices.Sorted(maps.Keys(tests)) {
		if tests[id] == nil {
			if _, known := e.store.Get(id); known {
				add = append(add, store.Record{Key: id})
			}
			continue
		}
		var entered []uint32
		for file, names := range tests[id] {
			for _, name := range names {
				f := function{file, name}
				n, there := table.numbers[f]
				if !there {
					n = uint32(len(table.all))
					table.all, table.numbers[f] = append(table.all, f), n
				}
				entered = append(entered, n)
			}
		}
		slices.Sort(entered)
		data := binary.AppendUvarint(nil, uint64(number))
		last := uint32(0)
		for _, n := range slices.Compact(entered) {
			data = binary.AppendUvarint(data, uint64(n-last))
			last = n
		}
		data = append(binary.AppendUvarint(nil, uint64(len(data))), data...)
		if r, known := e.store.Get(id); known && !forget {
			for i, old := range split(r.Data) {
				if n, _ := binary.Uvarint(old); i < maxExecutions-1 && slices.Contains(passes, int(n)) {
					data = append(binary.AppendUvarint(data, uint64(len(old))), old...)
				}
			}
		}
		add = append(add, store.Record{Key: id, Data: data})
	}
	for key, v := range map[string]any{tableKey: table.all, passesKey: passes, passKey(number): p} {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		add = append(add, store.Record{Key: key, Data: data})
	}
	e.passes[number] = &p
	return e.store.Save(add, func(key string) bool {
		switch {
		case key == auditKey:
			return true
		case forget:
			return false
		case key != "" && key[0] == 0:
			n, _ := binary.Uvarint([]byte(key[min(len(key), len("\x00pass")):]))
			return slices.Contains(passes, int(n))
		}
		r, ok := e.store.Get(key)
		return ok && slices.ContainsFunc(split(r.Data), func(x []byte) bool {
			n, _ := binary.Uvarint(x)
			return slices.Contains(passes, int(n))
		})
	})
}
