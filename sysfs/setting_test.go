package sysfs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestLookup(t *testing.T) {
	const unknown = "net.netfilter.nf_conntrack_quic_timeout"
	tests := []struct{ name, want string }{
		{"max", "max"},
		{"nf_conntrack_max", "max"},
		{"net.netfilter.nf_conntrack_max", "max"},
		{"net/netfilter/nf_conntrack_max", "max"},
		{"net.nf_conntrack_max", "max"},
		{"net/nf_conntrack_max", "max"},
		{"hashsize", "hashsize"},
		{"buckets", "hashsize"},
		{"nf_conntrack_buckets", "hashsize"},
		{"net.netfilter.nf_conntrack_buckets", "hashsize"},
		{"net/netfilter/nf_conntrack_buckets", "hashsize"},
		{"tcp_timeout_established", "tcp_timeout_established"},
		{"net.netfilter.nf_conntrack_frag6_low_thresh", "frag6_low_thresh"},
		{unknown, unknown},
		{"net/netfilter/nf_conntrack_quic_timeout", unknown},
		{"net.netfilter.nf_log.10", "net.netfilter.nf_log.10"},

		{"", ""},
		{".", ""},
		{"/", ""},
		{"Max", ""},
		{" max", ""},
		{"max ", ""},
		{"nf_conntrack_hashsize", ""},
		{"nf_conntrack_", ""},
		{"nf_conntrack_quic_timeout", ""},
		{"net.nf_conntrack_buckets", ""},
		{"net.netfilter", ""},
		{"net.netfilter.", ""},
		{"net.netfilter..max", ""},
		{"net.ipv4.ip_forward", ""},
		{"/proc/sys/net/netfilter/nf_conntrack_max", ""},
		{"net/netfilter/../../kernel/core_pattern", ""},
		{"net.netfilter/../ipv4/ip_forward", ""},
		{"net.netfilter.a b", ""},
		{"net.netfilter.a\x00b", ""},
		{"net.netfilter.ä", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if s := sysfs.Lookup(test.name); s != nil {
				got = s.Name
			}
			if got != test.want {
				t.Errorf("Lookup(%q) is %q, want %q", test.name, got, test.want)
			}
		})
	}
}

func TestLookupOfAnUnknownSysctl(t *testing.T) {
	s := sysfs.Lookup("net/netfilter/nf_log/2")
	if s == nil {
		t.Fatal("not found")
	}
	got := []string{s.Name, s.Sysctl(), s.File(), string(s.Kind)}
	want := []string{"net.netfilter.nf_log.2", "net.netfilter.nf_log.2", "proc/sys/net/netfilter/nf_log/2", "text"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("name, sysctl, file and kind (-want +got):\n%s", diff)
	}
}

func TestReadOnly(t *testing.T) {
	tests := map[string]bool{
		"count":                            true,
		"nf_conntrack_count":               true,
		"net.netfilter.nf_conntrack_count": true,
		"net/netfilter/nf_conntrack_count": true,
		"max":                              false,
		"net.netfilter.nf_conntrack_max":   false,
		"counter":                          false,
		"":                                 false,
	}
	for name, want := range tests {
		if got := sysfs.ReadOnly(name); got != want {
			t.Errorf("ReadOnly(%q) is %t, want %t", name, got, want)
		}
	}
}
