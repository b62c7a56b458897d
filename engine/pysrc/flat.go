package pysrc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"unsafe"
)

// The encoding of a Module, read in place: a header of 32 bytes (magic,
// flags, counts, checksum), the statements as they are in memory, the
// problems, and the text. Fields are in the byte order of the machine: the
// encoding is a cache beside the program, not a format of exchange.
const (
	// FormatVersion changes whenever the same source would give other bytes.
	FormatVersion = 8

	magic      = uint32(0x50790000) + FormatVersion
	headerSize = 32
	stmtSize   = int(unsafe.Sizeof(Stmt{}))
	flagDoc    = 1
)

var crcTable = crc32.IEEETable // in hardware on amd64 and arm64, and set up in no time

// maxExpr is how long an expression statement may be to be kept: only calls
// like pytest.skip(...) and NAME.append(...) matter. maxValue is the same for
// assigned values: a table of 1 MB takes 12 ms to evaluate.
const (
	maxExpr  = 4 << 10
	maxValue = 1 << 20
)

// finish packs the collected statements. The Module owns its memory.
func (b *builder) finish() *Module {
	b.appendMutated()
	size := 0
	for i := range b.stmts {
		s := &b.stmts[i]
		switch {
		case s.Kind == Expr && s.A.Len > maxExpr:
			s.A, s.Flags = Text{}, s.Flags|Cut
		case s.B.Len > maxValue:
			s.B, s.Flags = Text{}, s.Flags|Cut
		}
		size += int(s.A.Len + s.B.Len)
	}
	probText := 0
	for _, p := range b.problems {
		probText += len(p.Message)
	}
	total := headerSize + len(b.stmts)*stmtSize + len(b.problems)*16 + size + probText
	data := make([]byte, total)
	le := binary.NativeEndian
	le.PutUint32(data[0:], magic)
	if b.doctest {
		le.PutUint32(data[4:], flagDoc)
	}
	le.PutUint32(data[8:], uint32(len(b.stmts)))
	le.PutUint32(data[12:], uint32(len(b.problems)))
	le.PutUint32(data[16:], uint32(size+probText))
	le.PutUint32(data[20:], b.rows)

	stmts := stmtsAt(data, len(b.stmts))
	probs := data[headerSize+len(b.stmts)*stmtSize:]
	txt := probs[len(b.problems)*16:]
	at := 0
	put := func(t Text) Text {
		n := copy(txt[at:], b.src[t.Off:t.Off+t.Len])
		t.Off = uint32(at)
		at += n
		return t
	}
	for i, s := range b.stmts {
		s.A, s.B = put(s.A), put(s.B)
		stmts[i] = s
	}
	for i, p := range b.problems {
		r := probs[i*16:]
		le.PutUint32(r, p.Row)
		le.PutUint32(r[4:], p.Col)
		le.PutUint32(r[8:], uint32(at))
		le.PutUint32(r[12:], uint32(len(p.Message)))
		at += copy(txt[at:], p.Message)
	}
	le.PutUint32(data[24:], crc32.Checksum(data[headerSize:], crcTable))
	m, err := Decode(data)
	if err != nil {
		panic(err) // we wrote it ten lines above
	}
	return m
}

// appendMutated adds the names that bodies of functions change, as far as the
// module binds them, sorted so that equal sources give equal bytes.
func (b *builder) appendMutated() {
	if len(b.mutated) == 0 {
		return
	}
	var names []Text
	add := func(t Text) {
		name := b.src[t.Off : t.Off+t.Len]
		if _, ok := b.mutated[string(name)]; ok {
			delete(b.mutated, string(name))
			names = append(names, t)
		}
	}
	for i := uint32(0); i < uint32(len(b.stmts)); i++ {
		s := &b.stmts[i]
		switch s.Kind {
		case Def:
			i = s.Next - 1
		case Assign:
			add(s.A)
		case Alias:
			if s.B.Len > 0 {
				add(s.B)
			} else {
				add(s.A)
			}
		}
	}
	slices.SortFunc(names, func(x, y Text) int {
		return strings.Compare(unsafeString(b.src[x.Off:x.Off+x.Len]), unsafeString(b.src[y.Off:y.Off+y.Len]))
	})
	for _, t := range names {
		b.add(Stmt{Kind: Mutate, A: t})
	}
}

func stmtsAt(data []byte, n int) []Stmt {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*Stmt)(unsafe.Pointer(&data[headerSize])), n)
}

// Encoding returns the Module's bytes; Decode of them gives an equal Module.
// They belong to the Module.
func (m *Module) Encoding() []byte { return m.data }

// Equal reports whether two Modules say the same.
func (m *Module) Equal(o *Module) bool { return unsafeString(m.data) == unsafeString(o.data) }

var errCorrupt = errors.New("not a module encoding of this version")

// Decode reads an encoding in place. The Module keeps data, which must not
// change and must be aligned to 8 bytes, as mapped files and allocations are.
// Any damage is an error.
func Decode(data []byte) (*Module, error) {
	le := binary.NativeEndian
	if len(data) < headerSize || le.Uint32(data) != magic || uintptr(unsafe.Pointer(&data[0]))%4 != 0 {
		return nil, errCorrupt
	}
	stmts, probs, txt := uint64(le.Uint32(data[8:])), uint64(le.Uint32(data[12:])), uint64(le.Uint32(data[16:]))
	if uint64(len(data)) != headerSize+stmts*uint64(stmtSize)+probs*16+txt {
		return nil, errCorrupt
	}
	if crc32.Checksum(data[headerSize:], crcTable) != le.Uint32(data[24:]) {
		return nil, errCorrupt
	}
	m := &Module{
		data:    data,
		Stmts:   stmtsAt(data, int(stmts)),
		text:    unsafeString(data[len(data)-int(txt):]),
		Doctest: le.Uint32(data[4:])&flagDoc != 0,
		Rows:    le.Uint32(data[20:]),
	}
	p := data[headerSize+int(stmts)*stmtSize:]
	for i := 0; i < int(probs); i++ {
		r := p[i*16:]
		m.Problems = append(m.Problems, Problem{
			le.Uint32(r), le.Uint32(r[4:]), m.Text(Text{le.Uint32(r[8:]), le.Uint32(r[12:])}),
		})
	}
	return m, nil
}

var kindNames = [...]string{
	"none", "def", "class", "decorator", "import", "from", "alias", "assign", "augassign", "expr", "del", "raise", "return",
	"if", "elif", "else", "try", "except", "finally", "for", "while", "with", "match", "case", "dynamic", "body", "break", "continue", "mutate",
}

func (k Kind) String() string { return kindNames[k] }

func (m *Module) format(b *strings.Builder, i, end uint32, depth int) {
	for ; i < end; i = m.Stmts[i].Next {
		s := &m.Stmts[i]
		fmt.Fprintf(b, "%s%s %d:%d", strings.Repeat("  ", depth), s.Kind, s.Row, s.Col)
		if s.Kind == Def || s.Kind == Class {
			fmt.Fprintf(b, " head %d end %d", s.Head, s.EndRow)
		}
		if s.Level != 0 || s.Flags != 0 {
			fmt.Fprintf(b, " level %d flags %b", s.Level, s.Flags)
		}
		if s.A.Len > 0 {
			fmt.Fprintf(b, " %q", m.Text(s.A))
		}
		if s.B.Len > 0 {
			fmt.Fprintf(b, " %q", m.Text(s.B))
		}
		b.WriteByte('\n')
		m.format(b, i+1, s.Next, depth+1)
	}
}
