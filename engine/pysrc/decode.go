package pysrc

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// codingLine is PEP 263's: a comment in one of the first two lines.
var codingLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)`)
})

// decode returns the source as UTF-8 with "\n" or "\r\n" at the line ends, as
// Python reads it: byte order mark, coding line, lone carriage returns. The
// result may share memory with content.
func decode(content []byte) ([]byte, *Problem) {
	src := bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	var problem *Problem
	if !utf8.Valid(src) {
		name, row := coding(src)
		e, err := lookup(name)
		switch {
		case name == "" || strings.EqualFold(strings.ReplaceAll(name, "_", "-"), "utf-8"):
			problem = &Problem{Message: "not UTF-8, and no coding line says otherwise", Row: badRow(src)}
			src = bytes.ToValidUTF8(src, []byte("\uFFFD"))
		case err != nil:
			problem = &Problem{Message: fmt.Sprintf("unknown encoding: %s", name), Row: row}
			src = bytes.ToValidUTF8(src, []byte("\uFFFD"))
		default:
			out, err := e.NewDecoder().Bytes(src)
			if err != nil {
				problem = &Problem{Message: fmt.Sprintf("not %s: %v", name, err), Row: row}
				out = bytes.ToValidUTF8(src, []byte("\uFFFD"))
			}
			src = out
		}
	}
	if i := bytes.IndexByte(src, 0); i >= 0 && problem == nil {
		problem = &Problem{Message: "source code cannot contain null bytes", Row: uint32(bytes.Count(src[:i], newline))}
	}
	return loneCR(src), problem
}

// coding returns the encoding that a coding line names, and its row.
func coding(src []byte) (string, uint32) {
	for row := uint32(0); row < 2; row++ {
		line, rest, _ := bytes.Cut(src, newline)
		if m := codingLine().FindSubmatch(line); m != nil {
			return string(m[1]), row
		}
		if t := bytes.TrimLeft(line, " \t\f\r"); len(t) > 0 && t[0] != '#' {
			break
		}
		src = rest
	}
	return "", 0
}

// charmaps are Python's names of the encodings that are read, dashes for
// underscores. Listed by hand: the IANA index costs 0.07 ms at every start.
var charmaps = map[string]encoding.Encoding{
	"latin-1": charmap.ISO8859_1, "latin1": charmap.ISO8859_1, "l1": charmap.ISO8859_1, "iso-8859-1": charmap.ISO8859_1,
	"iso8859-1": charmap.ISO8859_1, "iso-8859-2": charmap.ISO8859_2, "latin2": charmap.ISO8859_2, "latin-2": charmap.ISO8859_2,
	"iso-8859-5": charmap.ISO8859_5, "iso-8859-7": charmap.ISO8859_7, "iso-8859-15": charmap.ISO8859_15, "iso8859-15": charmap.ISO8859_15,
	"latin-9": charmap.ISO8859_15, "cp1250": charmap.Windows1250, "cp1251": charmap.Windows1251, "cp1252": charmap.Windows1252,
	"windows-1250": charmap.Windows1250, "windows-1251": charmap.Windows1251, "windows-1252": charmap.Windows1252,
	"koi8-r": charmap.KOI8R, "koi8-u": charmap.KOI8U, "cp437": charmap.CodePage437, "cp850": charmap.CodePage850,
	"cp866": charmap.CodePage866, "mac-roman": charmap.Macintosh, "euc-jp": japanese.EUCJP, "shift-jis": japanese.ShiftJIS,
	"sjis": japanese.ShiftJIS, "iso-2022-jp": japanese.ISO2022JP, "gbk": simplifiedchinese.GBK, "gb2312": simplifiedchinese.GBK,
	"gb18030": simplifiedchinese.GB18030, "big5": traditionalchinese.Big5, "euc-kr": korean.EUCKR,
}

func lookup(name string) (encoding.Encoding, error) {
	if e := charmaps[strings.ToLower(strings.ReplaceAll(name, "_", "-"))]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("unsupported encoding %s", name)
}

func badRow(src []byte) uint32 {
	var row uint32
	for len(src) > 0 {
		line, rest, _ := bytes.Cut(src, newline)
		if !utf8.Valid(line) {
			return row
		}
		src = rest
		row++
	}
	return 0
}

// loneCR makes line ends of carriage returns that no newline follows.
func loneCR(src []byte) []byte {
	own := false
	for i := 0; ; i++ {
		k := bytes.IndexByte(src[i:], '\r')
		if k < 0 {
			return src
		}
		if i += k; i+1 < len(src) && src[i+1] == '\n' {
			continue
		}
		if !own {
			src, own = bytes.Clone(src), true
		}
		src[i] = '\n'
	}
}
