package kmod

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// message joins the fields of a uevent as the kernel does, each ended by NUL.
func message(fields ...string) []byte { return []byte(strings.Join(fields, "\x00") + "\x00") }

// moduleEvent is what kernels 5.10 to 7.2 send for a module.
func moduleEvent(action, module string) []byte {
	path := "/module/" + module
	return message(action+"@"+path, "ACTION="+action, "DEVPATH="+path, "SUBSYSTEM=module", "SEQNUM=1234")
}

// messages are uevents, the result of ParseUevent for each, and whether it passes the socket's filter.
var messages = []struct {
	name   string
	text   []byte
	want   Uevent
	ok     bool
	passes bool
}{
	{"load", moduleEvent("add", "nf_conntrack"), Uevent{"add", "nf_conntrack"}, true, true},
	{"unload", moduleEvent("remove", "nf_conntrack"), Uevent{"remove", "nf_conntrack"}, true, true},
	{"one letter", moduleEvent("add", "x"), Uevent{"add", "x"}, true, true},
	{"synthetic",
		message("add@/module/kvm", "ACTION=add", "DEVPATH=/module/kvm", "SUBSYSTEM=module", "SYNTH_UUID=0", "SEQNUM=7"),
		Uevent{"add", "kvm"}, true, true},
	{"last NUL missing", []byte("add@/module/x\x00ACTION=add\x00DEVPATH=/module/x\x00SUBSYSTEM=module"),
		Uevent{"add", "x"}, true, true},

	{"empty", nil, Uevent{}, false, false},
	{"NUL", []byte{0}, Uevent{}, false, false},
	{"only the header", []byte("add@/module/nf_conntrack"), Uevent{}, false, true},
	{"change", moduleEvent("change", "nf_conntrack"), Uevent{}, false, false},
	{"device", message("add@/devices/virtual/net/lo", "ACTION=add", "DEVPATH=/devices/virtual/net/lo", "SUBSYSTEM=net"),
		Uevent{}, false, false},
	{"no module", moduleEvent("add", ""), Uevent{}, false, true},
	{"below a module", moduleEvent("add", "nf_conntrack/holders"), Uevent{}, false, true},
	{"driver's module", message("add@/modules/x", "ACTION=add", "DEVPATH=/modules/x", "SUBSYSTEM=module"), Uevent{},
		false, false},
	{"another action in the fields", message("add@/module/x", "ACTION=remove", "DEVPATH=/module/x", "SUBSYSTEM=module"),
		Uevent{}, false, true},
	{"another path in the fields", message("add@/module/x", "ACTION=add", "DEVPATH=/module/y", "SUBSYSTEM=module"),
		Uevent{}, false, true},
	{"another subsystem", message("add@/module/x", "ACTION=add", "DEVPATH=/module/x", "SUBSYSTEM=drivers"),
		Uevent{}, false, true},
	{"no subsystem", message("add@/module/x", "ACTION=add", "DEVPATH=/module/x"), Uevent{}, false, true},
	{"cut in the path", []byte("add@/modul"), Uevent{}, false, false},
	{"udevd's own", []byte("libudev\x00\xfe\xed\xca\xfe"), Uevent{}, false, false},
}

func TestParseUevent(t *testing.T) {
	for _, test := range messages {
		t.Run(test.name, func(t *testing.T) {
			got, ok := ParseUevent(test.text)
			if ok != test.ok {
				t.Errorf("accepted: %t, want %t", ok, test.ok)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("uevent (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseUevent(f *testing.F) {
	for _, m := range messages {
		f.Add(m.text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		event, ok := ParseUevent(text)
		switch {
		case !ok && event != (Uevent{}):
			t.Errorf("not accepted, but %+v", event)
		case !ok:
		case event.Action != "add" && event.Action != "remove":
			t.Errorf("action %q", event.Action)
		case event.Module == "" || strings.ContainsAny(event.Module, "/\x00"):
			t.Errorf("module %q", event.Module)
		case !strings.HasPrefix(string(text), event.Action+"@/module/"+event.Module):
			t.Errorf("%+v differs from the header", event)
		}
	})
}

// The filter only avoids wake-ups: it may pass too much, never too little.
func TestModuleFilter(t *testing.T) {
	vm, err := bpf.NewVM(moduleFilter())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range messages {
		t.Run(test.name, func(t *testing.T) {
			length, err := vm.Run(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if passes := length > 0; passes != test.passes {
				t.Errorf("passes: %t, want %t", passes, test.passes)
			}
			if length > 0 && length < maxUevent {
				t.Errorf("the filter cuts messages to %d bytes", length)
			}
			if test.ok && length == 0 {
				t.Error("the filter drops a valid event")
			}
		})
	}
}

func TestIsFromKernel(t *testing.T) {
	tests := []struct {
		name string
		from unix.Sockaddr
		want bool
	}{
		{"kernel", &unix.SockaddrNetlink{Groups: 1}, true},
		{"process that multicasts", &unix.SockaddrNetlink{Pid: 4711, Groups: 1}, false},
		{"unicast", &unix.SockaddrNetlink{}, false},
		{"udevd's group", &unix.SockaddrNetlink{Groups: 2}, false},
		{"another family", &unix.SockaddrUnix{}, false},
		{"nobody", nil, false},
	}
	for _, test := range tests {
		if got := isFromKernel(test.from); got != test.want {
			t.Errorf("%s: %t, want %t", test.name, got, test.want)
		}
	}
}
