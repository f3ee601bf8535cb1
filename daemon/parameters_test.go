package daemon

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const origin = "/etc/ctkeeper/ctkeeper.yaml:9"

// asking is a configuration with module parameters.
func asking(parameters ...string) *config.Config {
	cfg := &config.Config{}
	for i := 0; i < len(parameters); i += 2 {
		cfg.Module.Parameters = append(cfg.Module.Parameters, config.Parameter{Name: parameters[i], Value: parameters[i+1], Origin: origin})
	}
	return cfg
}

func TestParameters(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Put(t, root, "sys/module/nf_conntrack/parameters/acct", "Y\n")
	kerneltree.Put(t, root, "sys/module/nf_conntrack/parameters/tstamp", "N\n")
	kerneltree.Put(t, root, "proc/modules", "xt_conntrack 16384 1 - Live 0x0\nnft_ct 16384 1 - Live 0x0\n"+
		"nf_conntrack 180224 2 nft_ct,xt_conntrack, Live 0x0\n")
	cfg := asking("acct", "1", "enable_hooks", "1", "expect_hashsize", "2048", "hashsize", "9", "nf_conntrack_helper", "0", "tstamp", "1")
	users := []string{"nft_ct", "xt_conntrack"}
	want := []Parameter{
		{"acct", "1", "1", origin, ParameterInSync, "", []string{}},
		{"enable_hooks", "1", "", origin, Unknown, "the kernel shows it to nobody", []string{}},
		{"expect_hashsize", "2048", "256", origin, NeedsReload, "", users},
		{"nf_conntrack_helper", "0", "", origin, NoSuchParameter, "", []string{}},
		{"tstamp", "1", "0", origin, NeedsReload, "", users},
	}
	status := Look(root, cfg)
	if diff := cmp.Diff(want, status.Module.Parameters); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	if !status.Module.NeedsReload() || status.Differs() || status.Unsure() {
		t.Error("a parameter that differs needs a reload, and is no setting that differs")
	}
	kerneltree.BuiltIn(t, root)
	want[2].HeldBy, want[4].HeldBy = []string{}, []string{} // nothing can unload it
	if diff := cmp.Diff(want, Look(root, cfg).Module.Parameters); diff != "" {
		t.Errorf("built in (-want +got):\n%s", diff)
	}
	kerneltree.Unload(t, root)
	absent := Look(root, asking("expect_hashsize", "2048")).Module
	if diff := cmp.Diff([]Parameter{{"expect_hashsize", "2048", "", origin, Unknown, "nf_conntrack is absent", []string{}}}, absent.Parameters); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
	if absent.NeedsReload() {
		t.Error("a module that is absent needs a reload")
	}
	if none := Look(root, asking()).Module.Parameters; none == nil || len(none) != 0 {
		t.Errorf("no parameters are %#v, want an empty list", none)
	}
}

// The kernel rounds expect_hashsize up to whole pages of buckets.
func TestSameParameter(t *testing.T) {
	for _, test := range []struct {
		name, want, now string
		same            bool
	}{
		{"expect_hashsize", "2048", "2048", true}, {"expect_hashsize", "1", "512", true}, {"expect_hashsize", "513", "1024", true},
		{"expect_hashsize", "513", "512", false}, {"expect_hashsize", "2048", "", false}, {"expect_hashsize", "512", "1000000", false},
		{"acct", "1", "1", true}, {"acct", "1", "0", false},
	} {
		if got := sameParameter(test.name, test.want, test.now); got != test.same {
			t.Errorf("%s %s, is %s: same is %t", test.name, test.want, test.now, got)
		}
	}
}

// What the daemon may not read, root looks at again.
func TestLookAgain(t *testing.T) {
	root := kerneltree.New(t)
	forbidden := Parameter{Name: "expect_hashsize", Want: "2048", Origin: origin, State: Unknown}
	forbidden.judge("", &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES})
	if forbidden.State != Unknown || forbidden.Error != "cannot read it: permission denied" {
		t.Errorf("it may not be read: %s, %s", forbidden.State, forbidden.Error)
	}
	known := Parameter{Name: "acct", Want: "1", Now: "0", State: NeedsReload, HeldBy: []string{"nft_ct"}}
	m := ModuleStatus{State: kmod.Loaded, Parameters: []Parameter{known, forbidden}}
	m.LookAgain(root)
	want := []Parameter{known, {"expect_hashsize", "2048", "256", origin, NeedsReload, "", []string{}}}
	if diff := cmp.Diff(want, m.Parameters); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p := Parameter{Name: "expect_hashsize", State: Unknown}
	p.judge("", errors.New("broken"))
	if p.Error != "cannot read it: broken" {
		t.Errorf("an error without a path is told as %q", p.Error)
	}
}
