package table

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// message returns a netlink message of a type, padded to 4 bytes.
func message(kind uint16, body ...byte) []byte {
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = append(m, make([]byte, unix.NLMSG_HDRLEN-len(m))...)
	return pad(append(m, body...))
}

func attribute(kind uint16, text string) []byte {
	a := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(text)))
	return pad(append(binary.NativeEndian.AppendUint16(a, kind), text...))
}

func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

func expectation(attributes ...[]byte) []byte {
	body := []byte{unix.AF_INET, 0, 0, 0}
	for _, a := range attributes {
		body = append(body, a...)
	}
	return message(newExpectation, body...)
}

func join(parts ...[]byte) (all []byte) {
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func errno(code int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(code)) }

// A request has the length that its header has (netlink(7)).
func TestExpectationsRequest(t *testing.T) {
	request := expectationsRequest()
	size := binary.NativeEndian.Uint32(request)
	if int(size) != len(request) || size != unix.NLMSG_HDRLEN+sizeofNfgenmsg {
		t.Errorf("%d bytes, and the header has %d", len(request), size)
	}
}

func TestCountExpectations(t *testing.T) {
	sip := expectation(attribute(1|unix.NLA_F_NESTED, "master"), attribute(5, "1234"),
		attribute(attrHelpName, "sip\x00"), attribute(11, "nat-follow-master\x00"))
	tests := []struct {
		name string
		part []byte
		want map[string]int64
		done bool
		err  error
	}{
		{"two, not the last part", join(sip, sip), map[string]int64{"sip": 2}, false, nil},
		{"the last part", join(sip, message(unix.NLMSG_DONE, errno(0)...)), map[string]int64{"sip": 1}, true, nil},
		{"none", message(unix.NLMSG_DONE, errno(0)...), map[string]int64{}, true, nil},
		{"without a helper", expectation(attribute(5, "1234")), map[string]int64{"": 1}, false, nil},
		{"without attributes", expectation(), map[string]int64{"": 1}, false, nil},
		{"another message", message(newExpectation+2, 0, 0, 0, 0), map[string]int64{}, false, nil},
		{"refused", message(unix.NLMSG_ERROR, errno(-int32(unix.EPERM))...), map[string]int64{}, true, unix.EPERM},
		{"ended early", message(unix.NLMSG_DONE, errno(-int32(unix.ENOMEM))...), map[string]int64{}, true, unix.ENOMEM},
		{"a truncated result", message(unix.NLMSG_DONE), map[string]int64{}, true, errMalformed},
		{"a truncated header", sip[:10], map[string]int64{}, false, errMalformed},
		{"a truncated message", sip[:20], map[string]int64{}, false, errMalformed},
		{"a length of 0", make([]byte, unix.NLMSG_HDRLEN), map[string]int64{}, false, errMalformed},
		{"a truncated attribute", expectation([]byte{12, 0, 6, 0}), map[string]int64{}, false, errMalformed},
		{"an attribute without length", expectation([]byte{0, 0, 6, 0}), map[string]int64{}, false, errMalformed},
		{"half an attribute", message(newExpectation, 2, 0, 0, 0, 4, 0), map[string]int64{}, false, errMalformed},
		{"no nfgenmsg", message(newExpectation), map[string]int64{}, false, errMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			helpers := map[string]int64{}
			done, err := countExpectations(test.part, helpers)
			if done != test.done || !errors.Is(err, test.err) {
				t.Errorf("done %v with %v, want %v with %v", done, err, test.done, test.err)
			}
			if diff := cmp.Diff(test.want, helpers); diff != "" {
				t.Errorf("helpers (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzCountExpectations(f *testing.F) {
	f.Add(join(expectation(attribute(attrHelpName, "sip\x00")), message(unix.NLMSG_DONE, errno(0)...)))
	f.Add(expectation([]byte{5, 0, 6, 0, 'a'}))
	f.Fuzz(func(t *testing.T, part []byte) {
		helpers := map[string]int64{}
		_, err := countExpectations(part, helpers)
		if n := *sum(helpers); n > int64(len(part)/unix.NLMSG_HDRLEN) || n == 0 && len(part) == 0 && err != nil {
			t.Errorf("%d expectations in %d bytes, error %v", n, len(part), err)
		}
	})
}

func TestDumpLoadsNothing(t *testing.T) {
	if _, err := dumpExpectations(func() bool { return false }); !errors.Is(err, errNotLoaded) {
		t.Errorf("not ready: %v", err)
	}
	calls := 0
	_, err := dumpExpectations(func() bool { calls++; return calls == 1 })
	if !errors.Is(err, errNotLoaded) || calls != 2 {
		t.Errorf("unloaded meanwhile: %v after %d calls", err, calls)
	}
}

func TestIsCtnetlinkReady(t *testing.T) {
	root := kerneltree.New(t)
	put(t, root, "sys/module/nf_conntrack_netlink/initstate", "live\n")
	if isCtnetlinkReady(tree.At(root)) {
		t.Error("ready in a tree that is not the running system")
	}
	_, err := os.Stat("/proc/modules")
	_, loaded := os.Stat("/sys/module/nf_conntrack_netlink/initstate")
	if err == nil && loaded != nil && isCtnetlinkReady(tree.Tree{}) {
		t.Error("ready without its module")
	}
}

func TestSampler(t *testing.T) {
	root := kerneltree.New(t)
	const line = "- l3proto = 2 proto=17 src=192.0.2.1 dst=198.51.100.2 sport=0 dport=4000 sip/audio\n"
	s := NewSampler(tree.At(root))
	at := time.Unix(1_700_000_000, 0)
	steps := []struct {
		name  string
		after time.Duration
		do    func()
		want  int64 // -1 is not known
	}{
		{"the first", 0, func() { put(t, root, expectFile, line) }, 1},
		{"more, not read again yet", 900 * time.Millisecond, func() { put(t, root, expectFile, line+line) }, 1},
		{"read again", 100 * time.Millisecond, func() {}, 2},
		{"the clock was set back", -time.Hour, func() { put(t, root, expectFile, line) }, 1},
		{"the module is unloaded", time.Second, func() { kerneltree.Unload(t, root) }, -1},
		{"and loaded again", time.Second, func() { kerneltree.Load(t, root); put(t, root, expectFile, "") }, 0},
		{"unreadable", 15 * time.Second, func() { remove(t, root, expectFile) }, -1},
		{"and readable in the next sample", 5 * time.Second, func() { put(t, root, expectFile, line) }, 1},
	}
	for _, step := range steps {
		step.do()
		at = at.Add(step.after)
		sample := s.Take(at)
		switch {
		case step.want == -1:
			if sample.Expectations != nil || sample.ByHelper != nil {
				t.Errorf("%s: %v, %v", step.name, *sample.Expectations, sample.ByHelper)
			}
		case sample.Expectations == nil || *sample.Expectations != step.want || sample.ByHelper["sip"] != step.want:
			t.Errorf("%s: want %d, got %+v", step.name, step.want, sample.ByHelper)
		}
	}
}

func TestLoadFactor(t *testing.T) {
	figure := func(n int64) *int64 { return &n }
	half := 0.5
	tests := []struct {
		figures Figures
		want    *float64
	}{
		{Figures{Entries: figure(512), Buckets: figure(1024)}, &half},
		{Figures{Entries: figure(512), Buckets: figure(0)}, nil},
		{Figures{Buckets: figure(1024)}, nil},
		{Figures{Entries: figure(512)}, nil},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, test.figures.LoadFactor()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.figures, diff)
		}
	}
}

func remove(t *testing.T, root, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
}
