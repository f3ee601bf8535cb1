package daemon

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

var origin = tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 9}

// asking is a configuration with module parameters.
func asking(parameters ...string) *config.Config {
	cfg := &config.Config{}
	for i := 0; i < len(parameters); i += 2 {
		cfg.Module.Parameters = append(cfg.Module.Parameters,
			config.Parameter{Name: parameters[i], Value: parameters[i+1], Origin: origin})
	}
	return cfg
}

func parameter(name, want, live string, state status.ParameterState, why string, heldBy []string) status.Parameter {
	return status.Parameter{Name: name, Want: want, Live: live, Origin: origin, State: state, Error: why,
		HeldBy: heldBy}
}

func TestParameters(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Put(t, root, "sys/module/nf_conntrack/parameters/acct", "Y\n")
	kerneltree.Put(t, root, "sys/module/nf_conntrack/parameters/tstamp", "N\n")
	kerneltree.Put(t, root, "proc/modules", "xt_conntrack 16384 1 - Live 0x0\nnft_ct 16384 1 - Live 0x0\n"+
		"nf_conntrack 180224 2 nft_ct,xt_conntrack, Live 0x0\n")
	cfg := asking("acct", "1", "enable_hooks", "1", "expect_hashsize", "2048", "hashsize", "9", "nf_conntrack_helper",
		"0", "tstamp", "1")
	users := []string{"nft_ct", "xt_conntrack"}
	want := []status.Parameter{
		parameter("acct", "1", "1", status.ParameterInSync, "", []string{}),
		parameter("enable_hooks", "1", "", status.ParameterUnknown, "the kernel does not show it", []string{}),
		parameter("expect_hashsize", "2048", "256", status.ParameterNeedsReload, "", users),
		parameter("nf_conntrack_helper", "0", "", status.ParameterUnsupported, "", []string{}),
		parameter("tstamp", "1", "0", status.ParameterNeedsReload, "", users),
	}
	document := Inspect(tree.At(root), cfg)
	if diff := cmp.Diff(want, document.Module.Parameters); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	if !document.Module.NeedsReload() || document.Differs() || document.IsUncertain() {
		t.Error("a parameter that differs needs a reload, and is no setting that differs")
	}
	kerneltree.BuiltIn(t, root)
	want[2].HeldBy, want[4].HeldBy = []string{}, []string{} // nothing can unload it
	if diff := cmp.Diff(want, Inspect(tree.At(root), cfg).Module.Parameters); diff != "" {
		t.Errorf("built in (-want +got):\n%s", diff)
	}
	// The sysctl of tstamp does what the parameter would do after another boot.
	kerneltree.Set(t, root, "timestamp", "1")
	want[4].State = status.ParameterInSync
	if diff := cmp.Diff(want, Inspect(tree.At(root), cfg).Module.Parameters); diff != "" {
		t.Errorf("built in, and set by sysctl (-want +got):\n%s", diff)
	}
	kerneltree.Unload(t, root)
	absent := Inspect(tree.At(root), asking("expect_hashsize", "2048")).Module
	if diff := cmp.Diff([]status.Parameter{parameter("expect_hashsize", "2048", "", status.ParameterUnknown,
		"nf_conntrack is absent", []string{})}, absent.Parameters); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
	if absent.NeedsReload() {
		t.Error("a module that is absent needs a reload")
	}
	if none := Inspect(tree.At(root), asking()).Module.Parameters; none == nil || len(none) != 0 {
		t.Errorf("no parameters are %#v, want an empty list", none)
	}
}

// Root reads again what the daemon may not read.
func TestFillUnknown(t *testing.T) {
	root := kerneltree.New(t)
	known := status.Parameter{Name: "acct", Want: "1", Live: "0", State: status.ParameterNeedsReload,
		HeldBy: []string{"nft_ct"}}
	unknown := status.Parameter{Name: "expect_hashsize", Want: "2048", Origin: origin, State: status.ParameterUnknown}
	d := status.Document{Module: status.Module{State: kmod.Loaded, Parameters: []status.Parameter{known, unknown}}}
	d.Table.Conditions = map[string]table.Condition{}
	FillUnknown(&d, tree.At(root))
	want := []status.Parameter{known, parameter("expect_hashsize", "2048", "256", status.ParameterNeedsReload, "",
		[]string{})}
	if diff := cmp.Diff(want, d.Module.Parameters); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnreadableParameter(t *testing.T) {
	for want, err := range map[string]error{
		"cannot read it: permission denied": &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES},
		"cannot read it: broken":            errors.New("broken"),
	} {
		live, state, why := compareParameter(status.Parameter{Name: "expect_hashsize", Want: "2048"}, "", err)
		if live != "" || state != status.ParameterUnknown || why != want {
			t.Errorf("%v: %q, %s, %q, want %q", err, live, state, why, want)
		}
	}
}
