package table

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/rawio"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	statPath   = "/proc/net/stat/nf_conntrack"
	expectFile = "/proc/net/nf_conntrack_expect"

	// maxStat is enough for 8192 processors, one line each; maxExpect for a million expectations.
	maxStat   = 4 << 20
	maxExpect = 256 << 20

	// columnEntries is the one column that is the same on the line of each processor.
	columnEntries = "entries"
)

var errNoCounters = errors.New("no header line or no counters in it")

// Counters reads /proc/net/stat/nf_conntrack (ct_cpu_seq_show in
// nf_conntrack_standalone.c), keyed by the header's names and summed over all processors. They count
// connections and packets since the module was loaded, and those of a processor wrap at 2³²; "entries" is
// the present number of connections. The columns differ between kernels, and a kernel shows 0 for those
// that it no longer counts. "chainlength" (5.15) is not the longest chain but the number of connections
// refused because their chain was too long (nf_conntrack_hash_check_insert); no kernel shows the chains
// themselves. The error is fs.ErrNotExist if the module is absent or the kernel has no such file.
func Counters(host tree.Tree) (map[string]uint64, error) {
	f := statFile{tree: host}
	defer f.close()
	return f.counters()
}

// statFile is /proc/net/stat/nf_conntrack. On the running system it stays open.
type statFile struct {
	tree tree.Tree
	file *os.File
	fd   int
	buf  []byte
}

// counters reads the counters, see Counters.
func (f *statFile) counters() (map[string]uint64, error) {
	text, err := f.read()
	if err != nil {
		return nil, fmt.Errorf("cannot read the counters: %w", err)
	}
	counters, err := parseCounters(string(text))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", statPath, err)
	}
	return counters, nil
}

func (f *statFile) read() ([]byte, error) {
	if !f.tree.Live() {
		return f.tree.Read(statPath, maxStat)
	}
	if f.file != nil {
		if text, err := f.readOpen(); err == nil {
			return text, nil
		}
		f.close() // dead since the module was unloaded (EIO)
	}
	file, err := os.Open(statPath)
	if err != nil {
		return nil, err
	}
	f.file, f.fd = file, int(file.Fd())
	return f.readOpen()
}

// readOpen reads the open file from its begin.
func (f *statFile) readOpen() ([]byte, error) {
	for {
		f.buf = slices.Grow(f.buf[:0], 4<<10)
		switch n, errno := rawio.ReadAll(f.fd, f.buf[:cap(f.buf)]); {
		case errno != 0:
			return nil, &fs.PathError{Op: "read", Path: statPath, Err: errno}
		case n < cap(f.buf):
			return f.buf[:n], nil
		case n >= maxStat:
			return nil, tree.ErrTooLarge
		}
		f.buf = make([]byte, 0, 2*cap(f.buf)) // one line each processor
	}
}

func (f *statFile) close() {
	if f.file != nil {
		_ = f.file.Close() // it was only read
		f.file = nil
	}
}

func parseCounters(text string) (map[string]uint64, error) {
	header, rest, _ := strings.Cut(text, "\n")
	columns := strings.Fields(header)
	counters := make(map[string]uint64, len(columns))
	processors := 0
	for line := range strings.Lines(rest) {
		for i, field := range strings.Fields(line) {
			if i >= len(columns) {
				break
			}
			n, err := strconv.ParseUint(field, 16, 32)
			if err != nil {
				return nil, err
			}
			if name := columns[i]; name != columnEntries || processors == 0 {
				counters[name] += n
			}
		}
		processors++
	}
	if len(counters) == 0 || len(counters) < len(columns) {
		return nil, errNoCounters
	}
	return counters, nil
}

// readExpectations counts the expectations by helper in /proc/net/nf_conntrack_expect
// below root.
func readExpectations(host tree.Tree) (map[string]int64, error) {
	text, err := host.Read(expectFile, maxExpect)
	if err != nil {
		return nil, fmt.Errorf("cannot read the expectations: %w", err)
	}
	helpers := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		helpers[helperOf(line)]++
	}
	return helpers, nil
}

// helperOf returns the helper in the line of an expectation, as exp_seq_show of nf_conntrack_expect.c writes
// it: "180 l3proto = 2 proto=17 src=… dport=4000 PERMANENT,INACTIVE sip/audio". The flags, the helper and
// the name of its policy may be missing.
func helperOf(line string) string {
	fields := strings.Fields(line)
	rest := 0
	for i, field := range fields {
		if strings.Contains(field, "=") {
			rest = i + 1
		}
	}
	fields = fields[rest:]
	if len(fields) > 0 && areFlags(fields[0]) {
		fields = fields[1:]
	}
	name, _, _ := strings.Cut(strings.Join(fields, " "), "/")
	return strings.TrimSpace(name)
}

func areFlags(field string) bool {
	for flag := range strings.SplitSeq(field, ",") {
		switch flag {
		case "PERMANENT", "INACTIVE", "USERSPACE":
		default:
			return false
		}
	}
	return true
}
