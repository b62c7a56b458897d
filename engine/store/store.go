// Package store keeps keyed records in one file that is mapped and read in
// place, and in a small log beside it that new records are appended to. It
// knows bytes and keys only.
//
// The mapped file is written whole under another name and renamed, never
// changed. Any damage (a killed writer, a truncated or changed file) makes
// records absent, never wrong: the directory of keys and each record of the
// log carry checksums, and who owns the data checks it again.
package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"unsafe"

	"github.com/edsrzf/mmap-go"
)

// MetaSize is the size of what a record says of its data, beside it.
const MetaSize = 96

// Record is one entry. Data of records read from a File is mapped memory that
// must not be used behind Close.
type Record struct {
	Key  string
	Meta [MetaSize]byte
	Data []byte
}

// The layout, in the machine's byte order: a header of 32 bytes (magic,
// version, count, sizes, checksum of keys and slots), slots sorted by key,
// the keys, the data of each record at a multiple of 8.
const (
	headerSize = 32
	slotSize   = 24 + MetaSize // keyOff, keyLen u32; dataOff u64; dataLen, spare u32; meta
	magic      = uint32(0x64780001)
)

var (
	table = crc32.IEEETable // Castagnoli's tables cost 0.16 ms to set up, both run at memory speed
	order = binary.NativeEndian
)

// File is an open store. Get may be called from several goroutines.
type File struct {
	dir, name string
	version   uint32
	m         mmap.MMap
	count     int
	keys      string
	log       map[string]*Record
	logSize   int
	damaged   bool // the log has a torn tail: it is rewritten next
	close     sync.Once
}

// Open maps the store of a folder. A store that is absent, damaged or of
// another version is empty.
func Open(dir, name string, version uint32) *File {
	f := &File{dir: dir, name: name, version: version, log: map[string]*Record{}}
	f.mapFile()
	f.readLog()
	return f
}

func (f *File) path() string    { return filepath.Join(f.dir, f.name) }
func (f *File) logPath() string { return filepath.Join(f.dir, f.name+".log") }

func (f *File) mapFile() {
	h, err := os.Open(f.path())
	if err != nil {
		return
	}
	defer h.Close()
	st, err := h.Stat()
	if err != nil || st.Size() < headerSize {
		return
	}
	m, err := mmap.Map(h, mmap.RDONLY, 0)
	if err != nil {
		return
	}
	count, keyBytes := int(order.Uint32(m[8:])), int(order.Uint32(m[12:]))
	end := headerSize + count*slotSize + keyBytes
	if order.Uint32(m) != magic || order.Uint32(m[4:]) != f.version || count < 0 || end > len(m) || end < headerSize ||
		order.Uint64(m[16:]) != uint64(len(m)) || crc32.Checksum(m[headerSize:end], table) != order.Uint32(m[24:]) {
		m.Unmap()
		return
	}
	f.m, f.count = m, count
	keys := m[headerSize+count*slotSize : end]
	f.keys = unsafe.String(unsafe.SliceData(keys), len(keys))
}

func (f *File) slot(i int) []byte { return f.m[headerSize+i*slotSize:][:slotSize] }

func (f *File) key(i int) string {
	s := f.slot(i)
	off, n := order.Uint32(s), order.Uint32(s[4:])
	if uint64(off)+uint64(n) > uint64(len(f.keys)) {
		return ""
	}
	return f.keys[off : off+n]
}

func (f *File) record(i int) (r Record, ok bool) {
	s := f.slot(i)
	off, n := order.Uint64(s[8:]), uint64(order.Uint32(s[16:]))
	if off > uint64(len(f.m)) || n > uint64(len(f.m))-off {
		return r, false
	}
	r.Key = f.key(i)
	copy(r.Meta[:], s[24:])
	r.Data = f.m[off : off+n : off+n]
	return r, true
}

// Get returns the record of a key.
func (f *File) Get(key string) (Record, bool) {
	if r := f.log[key]; r != nil {
		return *r, true
	}
	i := sort.Search(f.count, func(i int) bool { return f.key(i) >= key })
	if i >= f.count || f.key(i) != key {
		return Record{}, false
	}
	return f.record(i)
}

// Len is the number of records in the mapped file.
func (f *File) Len() int { return f.count }

// Size is the number of bytes in the mapped file and the log.
func (f *File) Size() int { return len(f.m) + f.logSize }

// readLog reads appended records: length, checksum, meta, key, data.
func (f *File) readLog() {
	b, err := os.ReadFile(f.logPath())
	if err != nil {
		return
	}
	f.logSize = len(b)
	if len(b) < 8 || order.Uint32(b) != magic || order.Uint32(b[4:]) != f.version {
		f.damaged = true
		return
	}
	for b = b[8:]; len(b) > 0; {
		if len(b) < 16+MetaSize {
			f.damaged = true
			return
		}
		n, keyLen := uint64(order.Uint32(b)), uint64(order.Uint32(b[8:]))
		if n < MetaSize+keyLen || 16+n > uint64(len(b)) || crc32.Checksum(b[8:16+n], table) != order.Uint32(b[4:]) {
			f.damaged = true
			return
		}
		body := b[16 : 16+n]
		r := &Record{Key: string(body[MetaSize : MetaSize+keyLen])}
		copy(r.Meta[:], body)
		// an allocation of its own, aligned as the owner of the data needs it
		r.Data = slices.Clone(body[MetaSize+keyLen:])
		f.log[r.Key] = r
		b = b[16+n:]
	}
}

// Close unmaps. Data from Get is gone with it.
func (f *File) Close() {
	f.close.Do(func() {
		if f.m != nil {
			f.m.Unmap()
			f.m = nil
		}
		f.count, f.keys, f.log = 0, "", nil
	})
}

// maxLog is how much of the mapped file's size the log may have before both
// are written anew: an edit appends a few kilobytes, a thousand edits cost one
// rewrite.
const maxLog = 4

// Save adds records, replacing those of the same keys. keep says which of the
// old ones stay when the file is written anew. It does nothing, and says so,
// when another process is writing.
func (f *File) Save(add []Record, keep func(key string) bool) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(f.dir, f.name+".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	size := f.logSize
	for i := range add {
		size += len(add[i].Data) + len(add[i].Key) + MetaSize + 16
	}
	if !f.damaged && f.count > 0 && size < len(f.m)/maxLog {
		return f.append(add)
	}
	return f.rewrite(add, keep)
}

// ErrBusy says that another process is writing the store.
var ErrBusy = errors.New("another process is writing the store")

func (f *File) append(add []Record) error {
	h, err := os.OpenFile(f.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer h.Close()
	var b []byte
	if st, err := h.Stat(); err == nil && st.Size() == 0 {
		b = order.AppendUint32(b, magic)
		b = order.AppendUint32(b, f.version)
	}
	for i := range add {
		r := &add[i]
		at := len(b)
		b = append(b, make([]byte, 16)...)
		b = append(b, r.Meta[:]...)
		b = append(b, r.Key...)
		b = append(b, r.Data...)
		order.PutUint32(b[at:], uint32(len(b)-at-16))
		order.PutUint32(b[at+8:], uint32(len(r.Key)))
		order.PutUint32(b[at+4:], crc32.Checksum(b[at+8:], table))
	}
	_, err = h.Write(b)
	return err
}

// rewrite writes the mapped file anew, with what is in the log, and renames
// it into place.
func (f *File) rewrite(add []Record, keep func(string) bool) error {
	all := make([]Record, 0, f.count+len(add))
	have := map[string]bool{}
	for i := range add {
		all = append(all, add[i])
		have[add[i].Key] = true
	}
	for k, r := range f.log {
		if !have[k] && keep(k) {
			all = append(all, *r)
			have[k] = true
		}
	}
	for i := 0; i < f.count; i++ {
		if k := f.key(i); !have[k] && keep(k) {
			if r, ok := f.record(i); ok {
				all = append(all, r)
			}
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Key < all[j].Key })
	var keys strings.Builder
	for i := range all {
		keys.WriteString(all[i].Key)
	}
	head := make([]byte, headerSize+len(all)*slotSize, headerSize+len(all)*slotSize+keys.Len()+8)
	off := align(uint64(cap(head) - 8))
	at := uint32(0)
	for i := range all {
		s := head[headerSize+i*slotSize:]
		order.PutUint32(s, at)
		order.PutUint32(s[4:], uint32(len(all[i].Key)))
		order.PutUint64(s[8:], off)
		order.PutUint32(s[16:], uint32(len(all[i].Data)))
		copy(s[24:], all[i].Meta[:])
		at += uint32(len(all[i].Key))
		off = align(off + uint64(len(all[i].Data)))
	}
	head = append(head, keys.String()...)
	order.PutUint32(head, magic)
	order.PutUint32(head[4:], f.version)
	order.PutUint32(head[8:], uint32(len(all)))
	order.PutUint32(head[12:], uint32(keys.Len()))
	order.PutUint64(head[16:], off)
	order.PutUint32(head[24:], crc32.Checksum(head[headerSize:], table))
	return f.write(head, all)
}

func align(n uint64) uint64 { return (n + 7) &^ 7 }

func (f *File) write(head []byte, all []Record) error {
	tmp, err := os.CreateTemp(f.dir, f.name+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	var zero [8]byte
	buf := make([]byte, 0, 1<<20)
	flush := func(limit int) {
		if len(buf) >= limit && err == nil {
			_, err = tmp.Write(buf)
			buf = buf[:0]
		}
	}
	pad := func(n int) { buf = append(buf, zero[:align(uint64(n))-uint64(n)]...) }
	buf = append(buf, head...)
	pad(len(head))
	for i := range all {
		buf = append(buf, all[i].Data...)
		pad(len(all[i].Data))
		flush(1 << 20)
	}
	flush(1)
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	// The log goes first: between the two steps its records are absent, which
	// costs a parse. The other way round an old record could hide a new one.
	os.Remove(f.logPath())
	return os.Rename(tmp.Name(), f.path())
}
