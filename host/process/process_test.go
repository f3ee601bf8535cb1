package process_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/process"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

func TestList(t *testing.T) {
	root := t.TempDir()
	for pid, line := range map[string]string{
		"1": "/sbin/init\x00", "2": "", "30": "/usr/bin/kube-proxy\x00--config=/a b\x00",
		"40": "kube-proxy\x00\x00", "self": "x",
	} {
		dir := filepath.Join(root, "proc", pid)
		if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cmdline"), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for pid, link := range map[string]string{"1": "net:[1]", "30": "net:[1]", "40": "net:[2]"} {
		if err := os.Symlink(link, filepath.Join(root, "proc", pid, "ns/net")); err != nil {
			t.Fatal(err)
		}
	}
	got := process.List(tree.At(root))
	want := []process.Process{
		{PID: 1, Args: []string{"/sbin/init"}},
		{PID: 30, Args: []string{"/usr/bin/kube-proxy", "--config=/a b"}},
		{PID: 40, Args: []string{"kube-proxy"}, OtherNetns: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	if program := got[1].Program(); program != "kube-proxy" {
		t.Errorf("the program is %q, want kube-proxy", program)
	}
}

func TestListOfNothing(t *testing.T) {
	if got := process.List(tree.At(t.TempDir())); len(got) > 0 {
		t.Errorf("processes of an empty tree: %v", got)
	}
}

func TestListOfThisHost(t *testing.T) {
	for _, p := range process.List(tree.At("")) {
		if p.PID == os.Getpid() && len(p.Args) == len(os.Args) {
			return
		}
	}
	t.Errorf("this process, %d, is not in the list", os.Getpid())
}
