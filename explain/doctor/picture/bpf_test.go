package picture

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/mountinfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// zip packs a text as /proc/config.gz is.
func zip(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestKernelConfig(t *testing.T) {
	const unset = "CONFIG_SYSCTL=y\nCONFIG_CGROUP_BPF=y\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  []finding.Evidence
	}{
		"none":  {nil, nil},
		"built": {map[string]string{"proc/config.gz": zip(t, builtConfig)}, nil},
		"the kernel's own": {map[string]string{"proc/config.gz": zip(t, unset), "boot/config-" +
			release: builtConfig}, []finding.Evidence{finding.Seen(runningConfig, 0,
			"does not have CONFIG_BPF_SYSCALL")}},
		"Fedora's place": {map[string]string{"lib/modules/" + release + "/config": unset},
			[]finding.Evidence{finding.Seen("/lib/modules/"+release+"/config", 0, "does not have CONFIG_BPF_SYSCALL")}},
		"damaged": {map[string]string{"proc/config.gz": zip(t, unset)[:20]}, nil},
		"too large": {map[string]string{"proc/config.gz": zip(t, unset+strings.Repeat("#",
			maxKernelConfig))}, nil},
		"something else": {map[string]string{"boot/config-" + release: "nothing to see\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, test.files)
			if diff := cmp.Diff(test.want, readBPF(tree.At(root), release).NotBuilt); diff != "" {
				t.Errorf("not built (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzGuardLook: whatever stands in the files, evidence is a line of theirs.
func FuzzBPF(f *testing.F) {
	f.Add(legacyMount+"\n"+unifiedMount, "CapBnd:\t000001ffffffffff\n", builtConfig)
	f.Add(" - cgroup2", "CapBnd:\n", "CONFIG_SYSCTL=y\n# CONFIG_CGROUP_BPF is not set")
	f.Fuzz(func(t *testing.T, mounts, status, text string) {
		unified, legacy := cgroupMounts(mountinfo.Parse(mounts))
		for _, e := range []finding.Evidence{unified, legacy} {
			lines := strings.Split(mounts, "\n")
			if e.Text != "" && (e.Line < 1 || e.Line > len(lines) || strings.TrimSpace(lines[e.Line-1]) != e.Text) {
				t.Errorf("%+v is not a line of %q", e, mounts)
			}
		}
		if set := boundingSet(status); set != nil && !strings.Contains(status, "CapBnd:") {
			t.Errorf("%x is not a set of %q", *set, status)
		}
		if missing := notBuilt("x", text); len(missing) > 2 {
			t.Errorf("not built: %+v", missing)
		}
		unzip([]byte(text))
	})
}
