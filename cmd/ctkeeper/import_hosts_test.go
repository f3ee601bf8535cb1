package main

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// TestImportHosts takes over each host that the doctor is tested on: the
// configuration loads, and nothing differs where the host's files are applied. Where
// they are not, one pass of ctkeeper brings them about.
func TestImportHosts(t *testing.T) {
	tests := []struct {
		name   string
		diff   int // exit status of diff after the import
		absent bool
	}{
		{"alpine", 0, false},
		{"debian13", 0, false},
		{"kubernetes-node", 1, false}, // kube-proxy's next start would take the live values back
		{"centos6", 1, false},         // a firewall restart threw away what its files set
		{"centos7", 2, true},
		{"debian12", 2, true},
		{"ubuntu2404", 2, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			kerneltree.Unpack(t, root, filepath.Join("../../explain/doctor/testdata/hosts", test.name+".txtar"))
			run := func(status int, args ...string) {
				t.Helper()
				got := ctkeeper(t.Context(), append(args, "--root", root)...)
				if got.status != status {
					t.Errorf("%v: exit status %d, want %d\n%s%s", args, got.status, status, got.stdout, got.stderr)
				}
			}
			run(0, "import", "--write")
			run(0, "config", "check")
			run(test.diff, "diff")
			if test.absent { // mended, and loaded
				kerneltree.Load(t, root)
			}
			run(0, "apply")
			run(0, "diff")
			written := dropin(t, root)
			run(0, "import", "--write")
			run(0, "diff")
			if test.diff == 0 {
				if diff := cmp.Diff(written, dropin(t, root)); diff != "" {
					t.Errorf("the drop-in after the second import (-want +got):\n%s", diff)
				}
			}
		})
	}
}
