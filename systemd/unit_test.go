package systemd

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const (
	service         = "ctkeeper.service"
	exporterService = "ctkeeper-exporter.service"
)

// tool runs one of systemd's programs and returns its output. If it is not installed the test is skipped,
// except in CI.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		netns.Cannot(t, "%s is not installed (it comes with systemd)", name)
	}
	command := exec.Command(path, args...)
	command.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "SYSTEMD_URLIFY=0")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// install copies a file of this directory to a path below root. Without a source it writes an empty script.
func install(t *testing.T, root, path, source string, mode os.FileMode) {
	t.Helper()
	data := []byte("#!/bin/sh\n")
	if source != "" {
		data = readFile(t, source)
	}
	target := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, data, mode); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// directives returns the directives of a unit or a drop-in, the values of a repeated key in order.
func directives(t *testing.T, file string) map[string][]string {
	t.Helper()
	out := make(map[string][]string)
	for line := range strings.Lines(string(readFile(t, file))) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			out[key] = append(out[key], value)
		}
	}
	return out
}

// unitRoot returns a root with only the units, the given drop-ins of the daemon's, and the programs of both.
func unitRoot(t *testing.T, dropIns ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, unit := range []string{service, exporterService} {
		install(t, root, "usr/lib/systemd/system/"+unit, unit, 0o644)
	}
	for _, file := range dropIns {
		install(t, root, "etc/systemd/system/ctkeeper.service.d/"+file, file, 0o644)
	}
	// The one unit that the default dependencies require.
	install(t, root, "usr/lib/systemd/system/sysinit.target", "", 0o644)
	install(t, root, "usr/bin/ctkeeper", "", 0o755)
	install(t, root, "usr/bin/ctkeeper-exporter", "", 0o755)
	install(t, root, "bin/kill", "", 0o755)
	return root
}

// exposure returns a unit's exposure level by systemd-analyze security, from 0 to 10, and its output.
func exposure(t *testing.T, unit string, dropIns ...string) (float64, string) {
	t.Helper()
	root := unitRoot(t, dropIns...)
	out := tool(t, "systemd-analyze", "security", "--no-pager", "--offline=yes", "--root="+root, unit)
	match := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("no exposure level in:\n%s", out)
	}
	level, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return level, out
}

func TestUnitVerify(t *testing.T) {
	for _, dropIns := range [][]string{nil, {guardConf}, {guardConf, perfmonConf}, {perfmonConf}} {
		out := tool(t, "systemd-analyze", "verify", "--man=no", "--root="+unitRoot(t, dropIns...), service,
			exporterService)
		// An unknown directive is a warning and exit status 0.
		if strings.TrimSpace(out) != "" {
			t.Errorf("%q: systemd-analyze verify reports:\n%s", dropIns, out)
		}
	}
}

func TestUnitSecurity(t *testing.T) {
	for unit, most := range map[string]float64{
		service:         1.1,
		exporterService: 1.3,
	} {
		level, out := exposure(t, unit)
		t.Logf("%s: exposure level %.1f", unit, level)
		if level > most {
			t.Errorf("%s: exposure level %.1f, want at most %.1f:\n%s", unit, level, most, out)
		}
	}
}

// Some directives would take from a program what it needs; the units' comments explain why.
func TestUnitOmits(t *testing.T) {
	for unit, keys := range map[string][]string{
		service: {"ProcSubset", "PrivatePIDs", "PrivateUsers", "PrivateNetwork", "NetworkNamespacePath", "PrivateTmp",
			"RootDirectory", "RootImage", "DynamicUser", "RuntimeDirectory", "IPAddressAllow"},
		// The exporter starts, and stays, without the daemon.
		exporterService: {"ProcSubset", "PrivateUsers", "PrivateNetwork", "Requires", "BindsTo", "PartOf", "Requisite"},
	} {
		got := directives(t, unit)
		for _, key := range keys {
			if values, ok := got[key]; ok {
				t.Errorf("%s has %s=%s", unit, key, strings.Join(values, " "))
			}
		}
	}
}

// The contract of the unit, where a change would break a host.
func TestUnitContract(t *testing.T) {
	want := map[string][]string{
		"Type":         {"notify"},
		"ExecStartPre": {"+-/usr/bin/ctkeeper persist"},
		"ExecStart":    {"/usr/bin/ctkeeper run"},
		"ExecReload": {"/bin/kill -HUP $MAINPID", "/usr/bin/ctkeeper config check",
			"+-/usr/bin/ctkeeper persist"},
		"Restart":                  {"on-failure"},
		"RestartPreventExitStatus": {"77 78"},
		"StartLimitIntervalSec":    {"0"},
		"User":                     {"ctkeeper"},
		"CapabilityBoundingSet":    {"CAP_NET_ADMIN"},
		"AmbientCapabilities":      {"CAP_NET_ADMIN"},
		"ReadWritePaths":           {"-/run/ctkeeper"},
		"ReadOnlyPaths":            {"-/run/ctkeeper/conf.d"},
		"StateDirectory":           {"ctkeeper"},
		"StateDirectoryMode":       {"0750"},
		"RestrictAddressFamilies":  {"AF_UNIX AF_NETLINK"},
		"IPAddressDeny":            {"any"},
		"BindPaths":                {"/proc/sys/net"},
		"Wants":                    {"network-pre.target"},
		"Before":                   {"network-pre.target", "shutdown.target"},
	}
	checkContract(t, service, want)
}

func TestExporterContract(t *testing.T) {
	checkContract(t, exporterService, map[string][]string{
		"Type":                    {"notify"},
		"After":                   {"network.target ctkeeper.service"},
		"Environment":             {"ARGS="},
		"EnvironmentFile":         {"-/etc/default/ctkeeper-exporter"},
		"ExecStart":               {"/usr/bin/ctkeeper-exporter $ARGS"},
		"Restart":                 {"on-failure"},
		"DynamicUser":             {"yes"},
		"SupplementaryGroups":     {"ctkeeper"},
		"CapabilityBoundingSet":   {""},
		"AmbientCapabilities":     {""},
		"RestrictAddressFamilies": {"AF_UNIX AF_INET AF_INET6"},
		"WantedBy":                {"multi-user.target"},
	})
}

func checkContract(t *testing.T, unit string, want map[string][]string) {
	t.Helper()
	got := directives(t, unit)
	maps.DeleteFunc(got, func(key string, _ []string) bool { _, ok := want[key]; return !ok })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", unit, diff)
	}
}

func TestSysusers(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	tool(t, "systemd-sysusers", "--root="+root, absolute(t, "ctkeeper.sysusers"))
	for _, file := range []string{"etc/passwd", "etc/group"} {
		if data := readFile(t, filepath.Join(root, file)); !bytes.HasPrefix(data, []byte("ctkeeper:")) {
			t.Errorf("no ctkeeper in /%s:\n%s", file, data)
		}
	}
}

// Root owns the runtime directory and the drop-ins in it after each run of tmpfiles, the service the lock.
func TestTmpfiles(t *testing.T) {
	if os.Getuid() != 0 {
		netns.Cannot(t, "only root can change the owner of a directory")
	}
	root := t.TempDir()
	for _, dir := range []string{"etc", "run"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, "systemd-sysusers", "--root="+root, absolute(t, "ctkeeper.sysusers"))
	for range 2 {
		if out := tool(t, "systemd-tmpfiles", "--root="+root, "--create", absolute(t, "ctkeeper.tmpfiles")); out != "" {
			t.Errorf("systemd-tmpfiles reports:\n%s", out)
		}
	}
	for path, want := range map[string]struct {
		isRoot bool
		mode   os.FileMode
	}{
		"run/ctkeeper": {true, os.ModeDir | os.ModeSticky | 0o775}, "run/ctkeeper/conf.d": {true, os.ModeDir | 0o755},
		"run/ctkeeper/ctkeeper.lock": {false, 0o600},
	} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		uid := ownerOf(t, filepath.Join(root, path))
		if (uid == 0) != want.isRoot || info.Mode() != want.mode {
			t.Errorf("/%s belongs to uid %d and has mode %v", path, uid, info.Mode())
		}
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	out, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sureFields returns the keys that every journal entry of a kind has. journalctl -x prints the bare name of a
// field that an entry does not have.
func sureFields(kind string) []string {
	switch kind {
	case "drift":
		return []string{KeySetting, KeyWant, KeyFound, KeyResult, KeyCause}
	case "contested", "settled":
		return []string{KeySetting, KeyWant, KeyFound}
	case "config-refused":
		return []string{KeyError}
	case "failed":
		return []string{KeySetting, KeyWant, KeyFound, KeyError}
	case "forbidden":
		return []string{KeySetting, KeyError}
	case "table-pressure":
		return []string{KeyTable, KeyEntries, KeyLimit}
	case "refused-write", "absorbed-write":
		return []string{KeySetting, KeyWant}
	}
	return nil
}

func TestCatalogFields(t *testing.T) {
	texts := make(map[string]string)
	for _, entry := range bytes.Split(readFile(t, "ctkeeper.catalog"), []byte("\n-- "))[1:] {
		id, text, _ := strings.Cut(string(entry), "\n")
		texts[id] = text
	}
	field := regexp.MustCompile(`@([A-Z_]+)@`)
	for _, kind := range Kinds() {
		text, ok := texts[MessageID(kind)]
		if !ok {
			t.Errorf("%s: the catalog has no entry -- %s", kind, MessageID(kind))
			continue
		}
		delete(texts, MessageID(kind))
		for _, header := range []string{"Subject: ", "Defined-By: ctkeeper\n", "Support: https://", "Documentation: "} {
			if !strings.Contains(text, header) {
				t.Errorf("%s: the catalog entry has no line %q", kind, header)
			}
		}
		var known []string
		for _, key := range sureFields(kind) {
			known = append(known, variableName(key))
		}
		for _, match := range field.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(known, match[1]) {
				t.Errorf("%s: the catalog entry shows %s, which the journal entry may not have", kind, match[0])
			}
		}
	}
	for id := range texts {
		t.Errorf("the catalog entry %s belongs to no event", id)
	}
}

// TestManPagesExist looks for the pages that units and catalog name.
func TestManPagesExist(t *testing.T) {
	name := regexp.MustCompile(`man:([a-z.-]+)\((\d)\)`)
	for _, file := range []string{service, exporterService, "ctkeeper.catalog"} {
		found := name.FindAllStringSubmatch(string(readFile(t, file)), -1)
		if len(found) == 0 {
			t.Errorf("%s names no man page", file)
		}
		for _, page := range found {
			if _, err := os.Stat("../packaging/man/" + page[1] + "." + page[2]); err != nil {
				t.Errorf("%s names %s: %v", file, page[0], err)
			}
		}
	}
}

func TestCatalogCompiles(t *testing.T) {
	root := t.TempDir()
	install(t, root, "usr/lib/systemd/catalog/ctkeeper.catalog", "ctkeeper.catalog", 0o644)
	if err := os.MkdirAll(filepath.Join(root, "var/lib/systemd/catalog"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out := tool(t, "journalctl", "--root="+root, "--update-catalog"); out != "" {
		t.Errorf("journalctl --update-catalog reports:\n%s", out)
	}
	var got []string
	for line := range strings.Lines(tool(t, "journalctl", "--root="+root, "--no-pager", "--list-catalog")) {
		id, _, _ := strings.Cut(line, " ")
		got = append(got, id)
	}
	var want []string
	for _, kind := range Kinds() {
		want = append(want, MessageID(kind))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ids in the compiled catalog (-want +got):\n%s", diff)
	}
}

func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Uid
}
