package table_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	countFile  = "proc/sys/net/netfilter/nf_conntrack_count"
	expectFile = "proc/net/nf_conntrack_expect"
	// expectation is a line as seq_file of nf_conntrack_expect.c prints it.
	expectation = "297 l3proto = 2 proto=6 src=192.0.2.1 dst=192.0.2.2 sport=0 dport=40000 ftp/\n"
)

func TestRead(t *testing.T) {
	tests := []struct {
		name  string
		alter func(t *testing.T, root string)
		want  string
	}{
		{
			"idle", func(*testing.T, string) {},
			`{"entries":0,"max":65536,"buckets":65536,"expectations":0,"expect_max":1024}`,
		},
		{
			"under load", func(t *testing.T, root string) {
				kerneltree.Put(t, root, countFile, "1234\n")
				kerneltree.Put(t, root, expectFile, expectation+expectation+expectation)
			},
			`{"entries":1234,"max":65536,"buckets":65536,"expectations":3,"expect_max":1024}`,
		},
		{
			"no limit, as 5.10 shows it", func(t *testing.T, root string) { kerneltree.Set(t, root, "max", "-1") },
			`{"entries":0,"max":-1,"buckets":65536,"expectations":0,"expect_max":1024}`,
		},
		{
			"without the expectation table", func(t *testing.T, root string) {
				if err := os.Remove(filepath.Join(root, expectFile)); err != nil {
					t.Fatal(err)
				}
			},
			`{"entries":0,"max":65536,"buckets":65536,"expectations":null,"expect_max":1024}`,
		},
		{
			"not a number", func(t *testing.T, root string) { kerneltree.Put(t, root, countFile, "many\n") },
			`{"entries":null,"max":65536,"buckets":65536,"expectations":0,"expect_max":1024}`,
		},
		{
			"module absent", func(t *testing.T, root string) { kerneltree.Unload(t, root) },
			`{"entries":null,"max":null,"buckets":null,"expectations":null,"expect_max":null}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := kerneltree.New(t)
			test.alter(t, root)
			got, err := json.Marshal(table.Read(tree.At(root)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("figures (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadKernel(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_max"); err != nil {
		netns.Cannot(t, "this kernel has no nf_conntrack, or it is not loaded: %v", err)
	}
	got := table.Read(tree.Tree{})
	if got.Entries == nil || *got.Entries != 0 {
		t.Errorf("entries of a new namespace: %v", got.Entries)
	}
	if got.Max == nil || got.Buckets == nil || *got.Buckets <= 0 || got.ExpectMax == nil || *got.ExpectMax <= 0 {
		t.Errorf("limits: %v, %v, %v", got.Max, got.Buckets, got.ExpectMax)
	}
	// CONFIG_NF_CONNTRACK_PROCFS can be off.
	if _, err := os.Stat("/proc/net/nf_conntrack_expect"); err == nil &&
		(got.Expectations == nil || *got.Expectations != 0) {
		t.Errorf("expectations of a new namespace: %v", got.Expectations)
	}
}
