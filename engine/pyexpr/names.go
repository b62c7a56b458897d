package pyexpr

import (
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/runenames"
)

// runesByName holds the characters of the Unicode Character Database by name.
// It is made at the first "\N{...}" that is read.
var runesByName = sync.OnceValue(func() map[string]rune {
	m := make(map[string]rune, 40_000)
	for _, r := range [...][2]rune{{' ', 0x33FF}, {0x4DC0, 0x4DFF}, {0xA000, 0xABFF}, {0xF900, 0x16FFF}, {0x18D80, 0x1FFFF}, {0xE0000, 0xE01EF}} { // without ideographs and Hangul, whose names follow rules
		for c := r[0]; c <= r[1]; c++ {
			if name := runenames.Name(c); name != "" && name[0] != '<' {
				m[name] = c
			}
		}
	}
	for r, names := range aliases {
		for _, name := range names {
			m[name] = r
		}
	}
	return m
})

// namedRune reads "{NAME}" at the start of s and returns the character and
// the length read. Rare aliases, named sequences and names made by rule are
// not known.
func namedRune(s string) (r rune, n int, ok bool) {
	end := strings.IndexByte(s, '}')
	if end < 1 || s[0] != '{' {
		return utf8.RuneError, 0, false
	}
	r, ok = runesByName()[strings.ToUpper(s[1:end])]
	return r, end + 1, ok
}

// aliases holds the aliases of control and format characters, from Unicode's
// NameAliases.txt.
var aliases = map[rune][]string{
	0x0:    {"NULL", "NUL"},
	0x1:    {"START OF HEADING", "SOH"},
	0x2:    {"START OF TEXT", "STX"},
	0x3:    {"END OF TEXT", "ETX"},
	0x4:    {"END OF TRANSMISSION", "EOT"},
	0x5:    {"ENQUIRY", "ENQ"},
	0x6:    {"ACKNOWLEDGE", "ACK"},
	0x7:    {"ALERT", "BEL"},
	0x8:    {"BACKSPACE", "BS"},
	0x9:    {"CHARACTER TABULATION", "HORIZONTAL TABULATION", "HT", "TAB"},
	0xA:    {"LINE FEED", "NEW LINE", "END OF LINE", "LF", "NL", "EOL"},
	0xB:    {"LINE TABULATION", "VERTICAL TABULATION", "VT"},
	0xC:    {"FORM FEED", "FF"},
	0xD:    {"CARRIAGE RETURN", "CR"},
	0xE:    {"SHIFT OUT", "SO"},
	0xF:    {"SHIFT IN", "SI"},
	0x10:   {"DATA LINK ESCAPE", "DLE"},
	0x11:   {"DEVICE CONTROL ONE", "DC1"},
	0x12:   {"DEVICE CONTROL TWO", "DC2"},
	0x13:   {"DEVICE CONTROL THREE", "DC3"},
	0x14:   {"DEVICE CONTROL FOUR", "DC4"},
	0x15:   {"NEGATIVE ACKNOWLEDGE", "NAK"},
	0x16:   {"SYNCHRONOUS IDLE", "SYN"},
	0x17:   {"END OF TRANSMISSION BLOCK", "ETB"},
	0x18:   {"CANCEL", "CAN"},
	0x19:   {"END OF MEDIUM", "EOM"},
	0x1A:   {"SUBSTITUTE", "SUB"},
	0x1B:   {"ESCAPE", "ESC"},
	0x1C:   {"INFORMATION SEPARATOR FOUR", "FILE SEPARATOR", "FS"},
	0x1D:   {"INFORMATION SEPARATOR THREE", "GROUP SEPARATOR", "GS"},
	0x1E:   {"INFORMATION SEPARATOR TWO", "RECORD SEPARATOR", "RS"},
	0x1F:   {"INFORMATION SEPARATOR ONE", "UNIT SEPARATOR", "US"},
	0x20:   {"SP"},
	0x7F:   {"DELETE", "DEL"},
	0x82:   {"BREAK PERMITTED HERE"},
	0x83:   {"NO BREAK HERE"},
	0x84:   {"INDEX"},
	0x85:   {"NEXT LINE", "NEL"},
	0x86:   {"START OF SELECTED AREA"},
	0x87:   {"END OF SELECTED AREA"},
	0x88:   {"CHARACTER TABULATION SET"},
	0x89:   {"CHARACTER TABULATION WITH JUSTIFICATION"},
	0x8A:   {"LINE TABULATION SET"},
	0x8B:   {"PARTIAL LINE FORWARD"},
	0x8C:   {"PARTIAL LINE BACKWARD"},
	0x8D:   {"REVERSE LINE FEED"},
	0x8E:   {"SINGLE SHIFT TWO"},
	0x8F:   {"SINGLE SHIFT THREE"},
	0x90:   {"DEVICE CONTROL STRING"},
	0x91:   {"PRIVATE USE ONE"},
	0x92:   {"PRIVATE USE TWO"},
	0x93:   {"SET TRANSMIT STATE"},
	0x94:   {"CANCEL CHARACTER"},
	0x95:   {"MESSAGE WAITING"},
	0x96:   {"START OF GUARDED AREA"},
	0x97:   {"END OF GUARDED AREA"},
	0x98:   {"START OF STRING"},
	0x9A:   {"SINGLE CHARACTER INTRODUCER"},
	0x9B:   {"CONTROL SEQUENCE INTRODUCER"},
	0x9C:   {"STRING TERMINATOR"},
	0x9D:   {"OPERATING SYSTEM COMMAND"},
	0x9E:   {"PRIVACY MESSAGE"},
	0x9F:   {"APPLICATION PROGRAM COMMAND"},
	0xA0:   {"NBSP"},
	0xAD:   {"SHY"},
	0x34F:  {"CGJ"},
	0x61C:  {"ALM"},
	0x200B: {"ZWSP"},
	0x200C: {"ZWNJ"},
	0x200D: {"ZWJ"},
	0x200E: {"LRM"},
	0x200F: {"RLM"},
	0x202A: {"LRE"},
	0x202B: {"RLE"},
	0x202C: {"PDF"},
	0x202D: {"LRO"},
	0x202E: {"RLO"},
	0x202F: {"NNBSP"},
	0x205F: {"MMSP"},
	0x2060: {"WJ"},
	0x2066: {"LRI"},
	0x2067: {"RLI"},
	0x2068: {"FSI"},
	0x2069: {"PDI"},
	0xFEFF: {"BOM", "ZWNBSP", "BYTE ORDER MARK"},
}
