package pyexpr

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// dump prints a tree as testdata/dump.py prints Python's own.
func dump(b *strings.Builder, n *Node) {
	if n == nil {
		b.WriteString("_")
		return
	}
	kids := func() {
		for _, k := range n.Kids {
			b.WriteByte(' ')
			dump(b, k)
		}
		b.WriteByte(')')
	}
	names := map[Kind]string{
		Tuple: "tuple", List: "list", Set: "set", Dict: "dict", Call: "call", Subscript: "sub", Slice: "slice", And: "and", Or: "or",
		IfExp: "ifexp", ListComp: "listcomp", SetComp: "setcomp", GenExp: "genexp", DictComp: "dictcomp", CompFor: "for",
		CompIf: "if", Star: "star", Await: "await",
	}
	switch n.Kind {
	case Name:
		b.WriteString(n.Text)
	case Int, Float, Imag:
		b.WriteString("num")
	case Str:
		b.WriteString("s")
		q, _ := json.Marshal(n.Text)
		b.Write(q)
	case Bytes:
		b.WriteString("bytes")
	case FString, Opaque:
		b.WriteString("fstr")
	case Const:
		b.WriteString(n.Text)
	case Keyword:
		b.WriteString("(kw " + n.Text)
		kids()
	case Attribute:
		b.WriteString("(attr " + n.Text)
		kids()
	case Walrus:
		b.WriteString("(walrus " + n.Text)
		kids()
	case Unary:
		b.WriteString("(u" + string(n.Op))
		kids()
	case Binary:
		b.WriteString("(b" + string(n.Op))
		kids()
	case Compare:
		b.WriteString("(cmp " + strings.Join(n.Ops, ","))
		kids()
	case Lambda:
		b.WriteString("(lambda")
		kids()
	case Yield:
		b.WriteString("yield")
	case DoubleStar:
		b.WriteString("(dstar")
		kids()
	case Invalid:
		b.WriteString("_")
	default:
		b.WriteString("(" + names[n.Kind])
		kids()
	}
}

// TestEqualsPython parses every expression of the statements of Python's own
// standard library and compares the trees with those of the ast module.
func TestEqualsPython(t *testing.T) {
	cmd := exec.Command("python3", "testdata/dump.py")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("these tests need python3 on PATH: %v", err)
	}
	dec := json.NewDecoder(out)
	n, bad := 0, 0
	for dec.More() {
		var row [3]string
		if err := dec.Decode(&row); err != nil {
			t.Fatal(err)
		}
		n++
		var b strings.Builder
		got := "error"
		if tree, err := Parse(row[1]); err == nil {
			dump(&b, tree)
			got = b.String()
		}
		if got != row[2] {
			if bad++; bad < 20 {
				t.Errorf("%s: %s\n got %s\nwant %s", row[0], row[1], got, row[2])
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if n < 100_000 {
		t.Errorf("only %d expressions", n)
	}
	t.Logf("%d expressions, %d differ", n, bad)
}
