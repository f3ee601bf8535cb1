package page_test

import (
	"strings"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/ui/page"
)

// pageShowsTheGuard checks the guard in each of its states, and its writes on a screen and on a phone.
func pageShowsTheGuard(b *tab) {
	h := gateway()
	address, _ := serveAt(b.T, "", page.Handler(h, "/metrics"))
	b.open("http://" + address)
	const who = "kube-proxy (pid 2211, container 4f0c8a21bd03 of pod 1f0d2c6e-8a51-4c36-9a52-0d6f8e1b7a11)"
	b.same("locked", "State locked Refuses foreign writes to hashsize, max, expect_max "+
		"Reports the pid of a writer, its unit or container, who loads the module "+
		"May write docker.service, system-kube.slice "+
		"Without the command of a writer, who writes hashsize through sysfs CAP_PERFMON is missing; "+
		"install guard-perfmon.conf",
		words(b.text("#guard-facts")))
	b.same("note", "blocks accidental changes, no defence against root", b.text("#guard-note"))
	at := words(b.text("#blocked time"))
	b.same("refused", []string{
		"max | 1234 refused | " + at + " | 131072 | " + who +
			" cri-containerd-4f0c8a21bd03.scope, container " + kubeProxy().Container,
		"expect_max | 1 refused | " + at + " |  | somebody",
		"max | 7 absorbed | " + at + " | 65536 | somebody",
	}, b.rows("blocked"))
	b.run(chromedp.EmulateViewport(360, 740))
	fits(b, 360)
	b.holds(`getComputedStyle(document.querySelector("#blocked tbody td:last-child"), "::before").content === '"By"'`)
	b.picture("guard-phone")
	b.run(chromedp.EmulateViewport(1280, 900))
	pageShowsGuardStates(b, h)
}

func pageShowsGuardStates(b *tab, h *host) {
	b.Helper()
	none := []string{}
	for state, guard := range map[string]map[string]any{
		"State watching Reports the pid of a writer, its command, its unit or container, who loads the module, " +
			"who writes hashsize through sysfs": {
			"mode": "watch", "state": "watching", "names": []string{"pid", "comm", "unit", "module", "sysfs"},
			"missing": none, "allow": none, "refused": none,
		},
		"State watching, blocks nothing Configured lock Reports nothing": {
			"mode": "lock", "state": "watching", "names": none, "missing": none, "allow": none, "refused": none,
		},
		"State holding Absorbs foreign writes to max Reports nothing": {
			"mode": "hold", "state": "holding", "names": none, "held": []string{"max"}, "missing": none,
		},
		"State holding Absorbs foreign writes to none of the configured settings Reports nothing": {
			"mode": "hold", "state": "holding", "names": none, "held": none, "missing": none, "absorbed": none,
		},
		"State unavailable Configured watch Reason CAP_BPF is missing Without the guard CAP_BPF is missing; " +
			"install guard.conf": {
			"mode":    "watch",
			"state":   "unavailable",
			"error":   "CAP_BPF is missing",
			"names":   none,
			"allow":   none,
			"refused": none,
			"missing": []map[string]string{
				{"what": "the guard", "why": "CAP_BPF is missing", "hint": "install guard.conf"},
			},
		},
		"State lock is configured but not in effect Configured lock": {
			"mode": "lock", "state": "off", "names": none, "missing": none, "allow": none, "refused": none,
		},
	} {
		h.change(func() { h.guard = guard })
		b.until(`document.getElementById("guard-facts").innerText.replace(/\s+/g, " ").trim() === "` + state + `"`)
		b.holds(`document.getElementById("blocked").hidden`)
		b.holds(`document.getElementById("guard-note").textContent === ""`)
		isShown := strings.Contains(b.text("#problem-list"), "The guard is not available")
		b.same("the problems have it", strings.Contains(state, "unavailable"), isShown)
	}
	for _, guard := range []map[string]any{{"mode": "off", "state": "off"}, nil} {
		h.change(func() { h.guard = locked() })
		b.until(`!document.getElementById("guard").hidden`)
		h.change(func() { h.guard = guard })
		b.until(`document.getElementById("guard").hidden`)
	}
	b.quiet()
}

// pageNamesWriters checks that an event has the whole writer where its sentence does not.
func pageNamesWriters(b *tab) {
	h := gateway()
	by := kubeProxy()
	h.events = []reconcile.Event{
		{At: time.Now().Add(-3 * time.Second), Kind: reconcile.KindModuleLoad, Message: "nf_conntrack was loaded"},
		{
			At: time.Now().Add(-2 * time.Second), Kind: reconcile.KindRefusedWrite, Setting: "max", By: &by,
			Message: "max: " + by.String() + " was refused 131072",
		},
		{
			At: time.Now().Add(-time.Second), Kind: reconcile.KindModuleUnload,
			By:      &sysfs.Writer{PID: 9, Comm: "rmmod", Unit: "x.service"},
			Message: "nf_conntrack was unloaded by rmmod (pid 9, x.service)",
		},
	}
	h.settings[3].LastDrift.By = &sysfs.Writer{}
	address, _ := serveAt(b.T, "", page.Handler(h, "/metrics"))
	b.open("http://" + address)
	var events []string
	for _, row := range b.rows("history") {
		events = append(events, strings.SplitN(row, " | ", 2)[1])
	}
	b.same("history", []string{
		"module-unload | nf_conntrack was unloaded by rmmod (pid 9, x.service)",
		"refused-write | max: " + by.String() +
			" was refused 131072 cri-containerd-4f0c8a21bd03.scope, container " + by.Container,
		"module-load | nf_conntrack was loaded",
	}, events)
	b.holds(`document.querySelectorAll("#history .badge")[1].className === "badge warning"`)
	drift := b.rows("settings")[1]
	if !strings.HasSuffix(drift, ": found 65536, write by somebody, repaired in 1.23 ms") {
		b.Errorf("the drift is shown as %q", drift)
	}
	b.quiet()
}
