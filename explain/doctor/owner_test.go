package doctor

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const mainFile = "/etc/ctkeeper/ctkeeper.yaml"

// owned is a host with a configuration that asks for max and hashsize, kept by a
// daemon that runs, and with what its files assign.
func owned(t *testing.T, assignments ...inventory.Assignment) *Host {
	t.Helper()
	yes := true
	return &Host{
		Tree: tree.At(t.TempDir()), Module: kmod.Module{State: kmod.Loaded},
		Inventory: inventory.Inventory{Assignments: assignments},
		Config: &config.Config{
			Mode: config.Enforce, Files: []string{mainFile},
			Wants: []sysfs.Want{
				{Setting: sysfs.Lookup(hashsize), Policy: sysfs.AtLeast, Value: "65536", Origin: mainFile + ":2"},
				{Setting: sysfs.Lookup("max"), Policy: sysfs.Exactly, Value: "1048576", Origin: mainFile + ":3"},
			},
			Module: config.Module{Parameters: []config.Parameter{{Name: expectHashsize, Value: "2048", Origin: mainFile + ":6"}}},
		},
		Place: Place{Systemd: true, Installed: true, Enabled: true, Running: &yes},
	}
}

// stopped is a host on which nothing keeps the values.
func stopped(h *Host) *Host {
	no := false
	h.Place.Enabled, h.Place.Running = false, &no
	return h
}

// uninstalled is a host without the unit.
func uninstalled(h *Host) *Host {
	h.Place.Installed = false
	return h
}

// bare is a host that nobody has configured: the embedded default holds.
func bare(h *Host) *Host {
	h.Config = &config.Config{Mode: config.Enforce, Wants: []sysfs.Want{
		{Setting: sysfs.Lookup("max"), Policy: sysfs.AtLeast, Value: "349184", Origin: config.DefaultOrigin, Auto: true},
	}}
	return h
}

// sysctl is a line that systemd-sysctl applies at boot.
func sysctl(file string, line int, key, value string) inventory.Assignment {
	s := sysfs.Lookup(key)
	return inventory.Assignment{
		Place: tree.Place{File: file, Line: line}, Name: s.Name, Key: key, Value: value, Tool: "systemd-sysctl", Phase: inventory.AtBoot,
	}
}

// option is a parameter that modprobe.d gives.
func option(file string, line int, name, value string) inventory.Assignment {
	return inventory.Assignment{
		Place: tree.Place{File: file, Line: line}, Name: name, Parameter: true, Key: name, Value: value, Tool: "modprobe", Phase: inventory.AtModuleLoad,
	}
}

const (
	siteConf   = "/etc/sysctl.d/50-site.conf"
	vendorConf = "/usr/lib/sysctl.d/50-vendor.conf"
	netMax     = "net.netfilter.nf_conntrack_max"
	buckets    = "net.netfilter.nf_conntrack_buckets"
)

func TestOtherOwners(t *testing.T) {
	h := owned(t, sysctl(siteConf, 2, netMax, "65536"))
	put(t, h.Tree.Root(), map[string]string{"etc/sysctl.d/50-site.conf": "# ours\nnet.netfilter.nf_conntrack_max=65536\n"})
	wants(t, otherOwners(h), []Finding{{
		ID: "other-owner", Severity: Warning,
		Summary: "systemd-sysctl sets nf_conntrack_max to 65536 at boot, ctkeeper wants 1048576; ctkeeper writes it back each time",
		Evidence: []Evidence{
			seen(siteConf, 2, "net.netfilter.nf_conntrack_max=65536"),
			seen(mainFile, 3, "max: 1048576"),
		},
		Fix: []string{"sed -i '2s/^[^#]/# &/' /etc/sysctl.d/50-site.conf"},
	}})
}

func TestOtherOwnerSummaries(t *testing.T) {
	proxy := inventory.Assignment{
		Place: tree.Place{File: "/var/lib/kube-proxy/config.conf", Line: 12}, Name: "max", Key: "maxPerCore", Value: "2097152",
		AtLeast: true, Tool: "kube-proxy", Phase: inventory.AtServiceStart,
	}
	again := func(by string, phase inventory.Phase) inventory.Assignment {
		a := sysctl(siteConf, 2, netMax, "65536")
		a.Tool, a.Phase = by, phase
		return a
	}
	for name, test := range map[string]struct {
		host *Host
		want string
		fix  []string
	}{
		"nobody enforces": {
			stopped(owned(t, sysctl(siteConf, 2, netMax, "65536"))),
			"systemd-sysctl sets nf_conntrack_max to 65536 at boot, ctkeeper wants 1048576; nothing writes it back: no daemon enforces the configuration here", nil,
		},
		"applied three times": {
			owned(t, sysctl(siteConf, 2, netMax, "65536"), again("modprobe", inventory.AfterModuleLoad), again("tuned", inventory.AtTunedProfile)),
			"systemd-sysctl, modprobe and tuned set nf_conntrack_max to 65536 at boot, after the module is loaded and when TuneD applies its profile, ctkeeper wants 1048576; ctkeeper writes it back each time", nil,
		},
		"nothing is configured": {
			bare(owned(t, sysctl(siteConf, 2, netMax, "65536"))),
			"systemd-sysctl sets nf_conntrack_max to 65536 at boot, ctkeeper wants at_least 349184; ctkeeper writes it back each time", []string{importWrite},
		},
		"a tool that only raises": {
			owned(t, proxy),
			"kube-proxy raises nf_conntrack_max to at least 2097152 when a service starts, ctkeeper wants 1048576; ctkeeper writes it back each time", nil,
		},
		"the hash size at load": {
			owned(t, option("/etc/modprobe.d/x.conf", 1, hashsize, "8192")),
			"modprobe sets hashsize to 8192 when the module is loaded, ctkeeper wants at_least 65536; ctkeeper writes it back each time", nil,
		},
		"a parameter": {
			owned(t, option("/etc/modprobe.d/x.conf", 1, expectHashsize, "64")),
			"modprobe sets expect_hashsize to 64 when the module is loaded, ctkeeper wants 2048; the module comes up with 64", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := find(t, otherOwners(test.host), "other-owner")
			if f.Summary != test.want {
				t.Errorf("summary:\n got %s\nwant %s", f.Summary, test.want)
			}
			if diff := cmp.Diff(test.fix, f.Fix); diff != "" {
				t.Errorf("fix (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoOtherOwner(t *testing.T) {
	ours := sysctl("/etc/sysctl.d/90-ctkeeper.conf", 2, netMax, "65536")
	ours.FromPersist = true
	lost := sysctl(siteConf, 2, netMax, "65536")
	lost.NoEffect = "/etc/sysctl.d/99-last.conf:1 comes later"
	proxy := sysctl("/var/lib/kube-proxy/config.conf", 12, netMax, "131072")
	proxy.AtLeast, proxy.Tool, proxy.Phase = true, "kube-proxy", inventory.AtServiceStart
	hidden := sysctl(vendorConf, 1, netMax, "4096")
	hidden.NoEffect = "hidden by /etc/sysctl.d/50-vendor.conf"
	wants(t, otherOwners(stopped(bare(owned(t, sysctl(siteConf, 1, netMax, "65536"))))), nil) // the default is an offer
	for name, all := range map[string][]inventory.Assignment{
		"our own file":             {ours},
		"a line that another wins": {lost, sysctl("/etc/sysctl.d/99-last.conf", 1, netMax, "1048576")},
		"raises to less":           {proxy},
		"hidden":                   {hidden},
		"the same size in pages":   {sysctl(siteConf, 1, buckets, "65530")},
		"more than at least":       {sysctl(siteConf, 1, buckets, "131072")},
		"not asked for":            {sysctl(siteConf, 1, "net.netfilter.nf_conntrack_acct", "1")},
	} {
		t.Run(name, func(t *testing.T) { wants(t, otherOwners(owned(t, all...)), nil) })
	}
}

func TestOwnersAgree(t *testing.T) {
	assignments := []inventory.Assignment{
		sysctl(siteConf, 2, netMax, "1048576"), sysctl(siteConf, 3, buckets, "65536"),
		sysctl(siteConf, 4, "net.netfilter.nf_conntrack_acct", "1"),
	}
	agree := Finding{
		ID: "other-owner", Severity: Info,
		Summary:  "/etc/sysctl.d/50-site.conf says the same as ctkeeper of nf_conntrack_max, hashsize",
		Evidence: []Evidence{seen(siteConf, 2, netMax+" = 1048576"), seen(siteConf, 3, buckets+" = 65536")},
		Note:     "Those lines can be deleted: ctkeeper keeps the values.",
	}
	more := Finding{
		ID: "other-owner", Severity: Info,
		Summary:  "/etc/sysctl.d/50-site.conf sets nf_conntrack_acct, for which ctkeeper is not configured",
		Evidence: []Evidence{seen(siteConf, 4, "net.netfilter.nf_conntrack_acct = 1")},
		Note:     "ctkeeper import shows it as configuration.",
	}
	wants(t, ownersAgree(owned(t, assignments...)), []Finding{agree, more})
	agree.Note = "Those lines can be deleted once ctkeeper is enabled and running."
	wants(t, ownersAgree(stopped(owned(t, assignments...))), []Finding{agree, more})
}

func TestSilence(t *testing.T) {
	const modprobed = "/etc/modprobe.d/x.conf"
	for name, test := range map[string]struct {
		files map[string]string
		all   []inventory.Assignment
		fix   []string
		note  string
	}{
		"a package's file, both lines at once": {
			map[string]string{"usr/lib/sysctl.d/50-vendor.conf": netMax + " = 4096\n" + buckets + " = 512\n"},
			[]inventory.Assignment{sysctl(vendorConf, 1, netMax, "4096"), sysctl(vendorConf, 2, buckets, "512")},
			[]string{"mkdir -p /etc/sysctl.d && sed '1s/^[^#]/# &/;2s/^[^#]/# &/' /usr/lib/sysctl.d/50-vendor.conf > /etc/sysctl.d/50-vendor.conf"}, "",
		},
		"one of two parameters": {
			map[string]string{"etc/modprobe.d/x.conf": "options nf_conntrack hashsize=512 acct=1\n"},
			[]inventory.Assignment{option(modprobed, 1, hashsize, "512"), option(modprobed, 1, "acct", "1")},
			[]string{"sed -i '1s/[[:blank:]]hashsize=512[[:blank:]]/ /;1s/[[:blank:]]hashsize=512$//' /etc/modprobe.d/x.conf"}, "",
		},
		"the only parameter": {
			map[string]string{"etc/modprobe.d/x.conf": "options nf_conntrack hashsize=512\n"},
			[]inventory.Assignment{option(modprobed, 1, hashsize, "512")},
			[]string{"sed -i '1s/^[^#]/# &/' /etc/modprobe.d/x.conf"}, "",
		},
		"a line that goes on": {
			map[string]string{"etc/modprobe.d/x.conf": "options nf_conntrack \\\nhashsize=512\n"},
			[]inventory.Assignment{option(modprobed, 1, hashsize, "512")},
			nil, "Take it out of /etc/modprobe.d/x.conf:1.",
		},
		"a script": {
			map[string]string{"etc/rc.local": "modprobe nf_conntrack; sysctl -w net.netfilter.nf_conntrack_max=512\n"},
			[]inventory.Assignment{{Place: tree.Place{File: "/etc/rc.local", Line: 1}, Name: "max", Key: netMax, Value: "512", Tool: "rc.local", Phase: inventory.AtServiceStart}},
			nil, "Take it out of /etc/rc.local:1.",
		},
		"kube-proxy": {
			nil, []inventory.Assignment{{Place: tree.Place{File: "/x.yaml", Line: 1}, Name: "max", Key: "maxPerCore", Value: "512", Tool: "kube-proxy", Phase: inventory.AtServiceStart}}, nil,
			"kube-proxy leaves the limit as it is where its configuration has conntrack.maxPerCore: 0, the timeouts where they are 0s: set these in the ConfigMap kube-proxy of kube-system, and restart its pods.",
		},
		"a package's TuneD profile": {
			nil, []inventory.Assignment{{Place: tree.Place{File: "/usr/lib/tuned/x/tuned.conf", Line: 1}, Name: "max", Key: netMax, Value: "512", Tool: "tuned", Phase: inventory.AtTunedProfile}}, nil,
			"Take it out of a copy of the profile in /etc/tuned, and make that the active profile.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := owned(t, test.all...)
			put(t, h.Tree.Root(), test.files)
			f := otherOwners(h)[0]
			if diff := cmp.Diff(test.fix, f.Fix); diff != "" {
				t.Errorf("fix (-want +got):\n%s", diff)
			}
			if f.Note != test.note {
				t.Errorf("note %q, want %q", f.Note, test.note)
			}
		})
	}
}

func TestSysctlTooEarly(t *testing.T) {
	early := sysctl(siteConf, 1, "net.netfilter.nf_conntrack_expect_max", "8192")
	early.TooEarly = true
	h := stopped(owned(t, early))
	want := Finding{
		ID: "sysctl-too-early", Severity: Warning,
		Summary:  "systemd-sysctl applies nf_conntrack_expect_max before the module is there: it is without effect",
		Evidence: []Evidence{seen(siteConf, 1, "net.netfilter.nf_conntrack_expect_max = 8192")},
		Fix:      []string{"ctkeeper import --write && systemctl enable --now ctkeeper"},
		Note:     "ctkeeper then sets them whenever the module is loaded.",
	}
	wants(t, sysctlTooEarly(h), []Finding{want})

	const message = "Couldn't write '8192' to 'net/netfilter/nf_conntrack_expect_max', ignoring: No such file or directory"
	h.Log.Messages = []klog.Message{{Source: tree.Place{File: "journal"}, Text: message}, {Source: tree.Place{File: "journal"}, Text: "nf_conntrack: automatic helper assignment is deprecated"}}
	want.Severity = Error
	want.Evidence = append(want.Evidence, seen("journal", 0, message))
	wants(t, sysctlTooEarly(h), []Finding{want})

	h.Place.Systemd = false
	f := find(t, sysctlTooEarly(h), "sysctl-too-early")
	if diff := cmp.Diff([]string{"echo nf_conntrack >> /etc/modules"}, f.Fix); diff != "" {
		t.Errorf("without systemd (-want +got):\n%s", diff)
	}

	asked := early
	asked.Name, asked.Key = "max", netMax
	for name, test := range map[string]struct {
		host *Host
		fix  []string
	}{
		"asked for, not enabled":     {stopped(owned(t, asked)), []string{"systemctl enable --now ctkeeper"}},
		"enabled, not asked for":     {owned(t, early), []string{importWrite}},
		"no unit to enable":          {uninstalled(stopped(owned(t, early))), []string{"ctkeeper import --write && ctkeeper persist --udev"}},
		"asked for by default alone": {stopped(bare(owned(t, asked))), []string{"ctkeeper import --write && systemctl enable --now ctkeeper"}},
	} {
		f := find(t, sysctlTooEarly(test.host), "sysctl-too-early")
		if diff := cmp.Diff(test.fix, f.Fix); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	wants(t, sysctlTooEarly(owned(t, asked)), nil) // a daemon holds it
	lost := early
	lost.NoEffect = "/etc/udev/rules.d/x.rules:1 comes later: udev, after the module is loaded"
	wants(t, sysctlTooEarly(stopped(owned(t, lost))), nil)
}

func TestSysctlNotRead(t *testing.T) {
	const conf = "/etc/sysctl.conf"
	expect := sysctl(conf, 3, "net.netfilter.nf_conntrack_expect_max", "8192")
	expect.NoEffect = "nothing reads /etc/sysctl.conf at boot"
	h := owned(t, expect)
	put(t, h.Tree.Root(), map[string]string{"etc/sysctl.conf": "#\n#\nnet.netfilter.nf_conntrack_expect_max=8192\n"})
	wants(t, sysctlNotRead(h), []Finding{{
		ID: "sysctl-not-read", Severity: Warning,
		Summary:  "net.netfilter.nf_conntrack_expect_max in /etc/sysctl.conf: without effect, nothing reads /etc/sysctl.conf at boot",
		Evidence: []Evidence{seen(conf, 3, "net.netfilter.nf_conntrack_expect_max=8192")},
		Fix: []string{
			"mkdir -p /etc/ctkeeper/conf.d && printf '%s\\n' 'settings:' '  expect_max: 8192' > /etc/ctkeeper/conf.d/60-sysctl.yaml",
			"systemctl reload-or-restart ctkeeper",
			"sed -i '3s/^[^#]/# &/' /etc/sysctl.conf",
		},
	}})
	old := sysctl(conf, 3, netMax, "65536")
	old.Key, old.NoEffect = "net.ipv4.ip_conntrack_max", "kernels since 4.9 have no key of this name"
	f := find(t, sysctlNotRead(owned(t, old)), "sysctl-not-read")
	if f.Severity != Info { // ctkeeper keeps max
		t.Errorf("severity %s", f.Severity)
	}
	hidden := sysctl(vendorConf, 1, netMax, "1")
	hidden.NoEffect = "hidden by /etc/sysctl.d/50-vendor.conf"
	overtaken := sysctl(siteConf, 1, netMax, "1")
	overtaken.NoEffect = "/etc/sysctl.d/99-last.conf:1 comes later"
	wants(t, sysctlNotRead(owned(t, hidden, overtaken, sysctl("/etc/sysctl.d/99-last.conf", 1, netMax, "2"))), nil)
}

func TestFilesUnreadable(t *testing.T) {
	h := owned(t)
	root := h.Tree.Root()
	kerneltree.Put(t, root, "etc/modprobe.d/odd name.conf/x", "")
	_, isDir := h.Tree.Read("/etc/modprobe.d/odd name.conf", 1)
	loop := troubleOf(t, h.Tree, root, "/etc/modprobe.d/loop.conf")
	put(t, root, map[string]string{"etc/sysctl.d/big.conf": "0123456789", "etc/sysctl.d/line.conf": "no assignment\n"})
	_, large := h.Tree.Read("/etc/sysctl.d/big.conf", 1)
	h.Inventory.Troubles = []tree.Trouble{
		{Place: tree.Place{File: "/etc/modprobe.d/odd name.conf"}, Err: isDir},
		{Place: tree.Place{File: "/etc/modprobe.d/loop.conf"}, Err: loop},
		{Place: tree.Place{File: "/etc/sysctl.d/big.conf"}, Err: large},
		{Place: tree.Place{File: "/etc/sysctl.d/line.conf", Line: 1}, Err: errTest("is not an assignment")},
	}
	h.Inventory.Modprobe.Troubles = h.Inventory.Troubles[:1] // told once
	wants(t, filesUnreadable(h), []Finding{
		{
			ID: "file-unreadable", Severity: Warning,
			Summary:  "/etc/modprobe.d/odd name.conf is a directory and should be a file: what is in it is not read",
			Evidence: []Evidence{seen("/etc/modprobe.d/odd name.conf", 0, "is a directory")},
			Fix:      []string{"mv '/etc/modprobe.d/odd name.conf' '/etc/modprobe.d/odd name.conf.d'"},
		},
		{
			ID: "file-unreadable", Severity: Warning,
			Summary:  "/etc/modprobe.d/loop.conf is a loop of symbolic links: nobody can read it",
			Evidence: []Evidence{seen("/etc/modprobe.d/loop.conf", 0, "too many levels of symbolic links")},
			Fix:      []string{"rm /etc/modprobe.d/loop.conf"},
		},
		{
			ID: "file-unreadable", Severity: Warning,
			Summary:  "/etc/sysctl.d/big.conf is too large for a configuration file, and was not read",
			Evidence: []Evidence{seen("/etc/sysctl.d/big.conf", 0, "file too large")},
			Note:     "Find out what wrote it, and put a short file in its place.",
		},
		{
			ID: "file-unreadable", Severity: Warning,
			Summary:  "a line of /etc/sysctl.d/line.conf cannot be understood",
			Evidence: []Evidence{seen("/etc/sysctl.d/line.conf", 1, "no assignment (is not an assignment)")},
			Note:     "Correct it, or take it out; the rest of the file counts.",
		},
	})
}

// TestFilesThatAreNoText: each has the command that mends it, or says what to do.
func TestFilesThatAreNoText(t *testing.T) {
	binary := errTest("binary file")
	h := owned(t)
	h.Inventory.Troubles = []tree.Trouble{
		{Place: tree.Place{File: "/etc/sysctl.d/x.conf"}, Err: binary},
		{Place: tree.Place{File: "/lib/modules/6.1.0/modules.dep"}, Err: binary},
		{Place: tree.Place{File: "/etc/modprobe.d/x.conf"}, Err: &fs.PathError{Op: "open", Path: "/etc/modprobe.d/x.conf", Err: fs.ErrPermission}},
	}
	wants(t, filesUnreadable(h), []Finding{
		{
			ID: "file-unreadable", Severity: Warning, Summary: "/etc/sysctl.d/x.conf cannot be read, and may say something",
			Evidence: []Evidence{seen("/etc/sysctl.d/x.conf", 0, "binary file")},
			Note:     "Find out what wrote it, and put a right file in its place, or take it away.",
		},
		{
			ID: "file-unreadable", Severity: Warning, Summary: "/lib/modules/6.1.0/modules.dep cannot be read, and may say something",
			Evidence: []Evidence{seen("/lib/modules/6.1.0/modules.dep", 0, "binary file")}, Fix: []string{"depmod -a 6.1.0"},
		},
		{
			ID: "file-unreadable", Severity: Info, Summary: "/etc/modprobe.d/x.conf cannot be read, and may say something",
			Evidence: []Evidence{seen("/etc/modprobe.d/x.conf", 0, "permission denied")}, Note: "Run ctkeeper doctor as root.",
		},
	})
}
