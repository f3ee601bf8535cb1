package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/ui/page"
)

// randomHost makes a host with a random configuration and random values in the kernel: as wanted or not, garbage,
// without their file, or unreadable, of a module that is loaded, built in or absent.
func randomHost(t *testing.T, random *rand.Rand) (root, yaml string) {
	t.Helper()
	root = soundHost(t)
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	lines := []string{"enforcement: {resync: 1s, mode: " + pick("enforce", "observe") + "}", "settings:"}
	all := sysfs.Catalogue()
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, s := range all[:1+random.IntN(8)] {
		live, err := strconv.ParseInt(kerneltree.Get(t, root, s.Name), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		want := min(max(live+int64(random.IntN(3)-1), s.Min), s.Max)
		if s.Kind == sysfs.Bool {
			lines = append(lines, fmt.Sprintf("  %s: %t", s.Name, want == 1))
		} else {
			lines = append(lines, fmt.Sprintf("  %s: {%s: %d}", s.Name, pick("exactly", "at_least", "at_most"), want))
		}
		switch random.IntN(8) {
		case 0:
			kerneltree.Remove(t, root, s.Name)
		case 1:
			kerneltree.Set(t, root, s.Name, pick("", "-1", "x", "99999999999999999999", "1 2"))
		case 2: // reads fail with EISDIR, also for root
			kerneltree.Remove(t, root, s.Name)
			if err := os.Mkdir(filepath.Join(root, s.File()), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if random.IntN(4) == 0 {
		lines = append(lines, "  net.netfilter.nf_conntrack_new: 1")
		if random.IntN(2) == 0 {
			kerneltree.Put(t, root, "proc/sys/net/netfilter/nf_conntrack_new", pick("1\n", "2\n"))
		}
	}
	switch random.IntN(6) {
	case 0:
		kerneltree.Unload(t, root)
	case 1:
		kerneltree.BuiltIn(t, root)
	}
	yaml = strings.Join(lines, "\n") + "\n"
	kerneltree.Put(t, root, config.DefaultMain, yaml)
	return root, yaml
}

// states returns the state of each setting in a status document.
func states(t *testing.T, document string) map[string]reconcile.State {
	t.Helper()
	var d status.Document
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		t.Fatalf("%v:\n%s", err, document)
	}
	states := map[string]reconcile.State{}
	for _, s := range d.Settings {
		states[s.Name] = s.State
	}
	return states
}

// checkDoctor checks that the doctor calls those settings different that are, and the host healthy only if none is.
func checkDoctor(t *testing.T, root string, want map[string]reconcile.State) {
	t.Helper()
	got := ctkeeper(t.Context(), "doctor", "--root", root, "-o", "json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		t.Fatalf("%v:\n%s", err, got.stdout)
	}
	found := ""
	for _, f := range report.Findings {
		if f.ID == "settings-differ" || f.ID == "settings-not-kept" {
			found += f.Summary + "; "
		}
	}
	isWrong := false
	for name, state := range want {
		is := slices.Contains([]reconcile.State{
			reconcile.Drifted, reconcile.Contested, reconcile.Forbidden, reconcile.Failed}, state)
		isWrong = isWrong || is
		if says := strings.Contains("; "+strings.ReplaceAll(found, ": ", "; "), "; "+name+" "); says != is {
			t.Errorf("%s is %s, and the doctor says: %q", name, state, found)
		}
	}
	if isWrong && (report.Healthy || got.status != 1) {
		t.Errorf("the doctor ends with %d, healthy %t", got.status, report.Healthy)
	}
}

// TestStatesAgree compares the state of each setting in diff, status, doctor and page on random hosts, without a daemon
// and with one.
func TestStatesAgree(t *testing.T) {
	hosts, daemons := 60, 6
	for i := range hosts {
		seed := uint64(time.Now().UnixNano()) + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			root, yaml := randomHost(t, rand.New(rand.NewPCG(seed, 0)))
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("seed %d:\n%s", seed, yaml)
				}
			})
			want := states(t, ctkeeper(t.Context(), "diff", "--root", root, "-o", "json").stdout)
			got := states(t, ctkeeper(t.Context(), "status", "--root", root, "-o", "json").stdout)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("status without a daemon (-diff +status):\n%s", diff)
			}
			checkDoctor(t, root, want)
			if i < daemons {
				checkWithDaemon(t, root)
			}
		})
	}
}

// checkWithDaemon compares status, page, diff and doctor beside a daemon that has settled.
func checkWithDaemon(t *testing.T, root string) {
	t.Helper()
	stop := start(t, root)
	defer stop()
	client := status.NewClient(status.SocketPath(root))
	eventually(t, "the daemon answers", func() bool { _, err := client.Status(t.Context()); return err == nil })
	want := states(t, ctkeeper(t.Context(), "status", "--root", root, "-o", "json").stdout)
	var data struct{ Status json.RawMessage }
	if err := json.Unmarshal([]byte(answer(page.Handler(client, "/metrics"), "/v1/page")), &data); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, states(t, string(data.Status))); diff != "" {
		t.Errorf("page (-status +page):\n%s", diff)
	}
	got := states(t, ctkeeper(t.Context(), "diff", "--root", root, "-o", "json").stdout)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diff beside a daemon (-status +diff):\n%s", diff)
	}
	checkDoctor(t, root, want)
}

// TestContestedAgrees: only a daemon can see that a setting is contested, so doctor asks it.
func TestContestedAgrees(t *testing.T) {
	root := soundHost(t)
	start(t, root)
	client := status.NewClient(status.SocketPath(root))
	var document string
	eventually(t, "max is contested", func() bool {
		kerneltree.Set(t, root, "max", "1000")
		document = ctkeeper(t.Context(), "status", "--root", root, "-o", "json").stdout
		return strings.Contains(document, `"state": "contested"`)
	})
	want := states(t, document)
	if shown := answer(page.Handler(client, "/metrics"), "/v1/page"); !strings.Contains(shown, `"state":"contested"`) {
		t.Errorf("the page does not say that max is contested:\n%s", shown)
	}
	checkDoctor(t, root, want)
}
