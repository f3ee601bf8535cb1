package picture

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/kmod"
)

func TestRelevant(t *testing.T) {
	for text, want := range map[string]bool{
		"nf_conntrack: nf_conntrack: table full, dropping packet":                              true,
		"nf_ct_sip: dropping packet: all ports in use for SDP media IN= OUT=":                  true,
		"nf_conntrack: expectation table full":                                                 true,
		"Lockdown: modprobe: unsigned module loading is restricted; see man kernel_lockdown.7": true,
		"modprobe: vmalloc error: size 17179869184, exceeds total pages":                       true,
		"nf_conntrack: `nonsense' invalid for parameter `hashsize'":                            true,
		"nf_conntrack: unknown parameter 'nf_conntrack_max' ignored":                           true,
		"xt_CT: No such helper \"sipp\"":                                                       true,
		"eth0: Link is Up - 1Gbps/Full":                                                        false,
		"EXT4-fs (vda1): mounted filesystem":                                                   false,
		"":                                                                                     false,
	} {
		if got := isRelevant(text); got != want {
			t.Errorf("%q returns %t, want %t", text, got, want)
		}
	}
}

func TestLogged(t *testing.T) {
	h := &Host{}
	for _, text := range []string{"a 1", "b", "a 2", "a 3", "a 4"} {
		h.Log.Messages = append(h.Log.Messages, klog.Message{Text: text})
	}
	var texts []string
	for _, e := range h.Logged(Containing("a ")) {
		texts = append(texts, e.Text)
	}
	if diff := cmp.Diff([]string{"a 2", "a 3", "a 4"}, texts); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestLoaded(t *testing.T) {
	h := &Host{
		Module: kmod.Module{State: kmod.Absent}, Modules: []kmod.ProcModule{{Name: "nf_conntrack"}, {Name: "nf_nat"}},
		Index: kmod.Index{BuiltIn: map[string]bool{"libcrc32c": true}},
	}
	for name, want := range map[string]bool{
		"nf_conntrack": false,
		"nf_nat":       true,
		"libcrc32c":    true,
		"xt_state":     false,
	} {
		if got := h.IsLoaded(name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}
