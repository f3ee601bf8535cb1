package render

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// talos writes a patch of a Talos machine configuration.
func (w *writer) talos() (string, error) {
	var settings []sysfs.Want
	for _, want := range w.hostSettings() {
		if s := want.Setting; s.Since != "" || s.Until != "" { // KernelParamSpecController
			w.leave(s.Name, "not every kernel has it, and Talos tries a missing sysctl again and again")
			continue
		}
		settings = append(settings, want)
	}
	var patch mapping
	if len(settings) > 0 {
		w.note("With machine.sysctls Talos sets the same values. One that is removed from it later goes back to what")
		w.note("it was before Talos set it.")
		patch = append(patch, pair{"machine", mapping{{"sysctls", sysctls(settings)}}})
	}
	proxy := *w // a copy: what kube-proxy leaves out is not left out of this
	args := mapping{}
	for _, o := range proxy.proxyOptions() {
		args = append(args, pair{o.flag, text(o.value)})
	}
	if len(args) > 0 {
		w.note("With cluster.proxy kube-proxy does not set what ctkeeper keeps. It is for the nodes of the control")
		w.note("plane; talosctl upgrade-k8s then changes the DaemonSet.")
		patch = append(patch, pair{"cluster", mapping{{"proxy", mapping{{"extraArgs", args}}}}})
	}
	w.leaveAtLoad("nf_conntrack is built into the kernel of Talos: an argument of the image, nf_conntrack.NAME=VALUE")
	if len(patch) == 0 {
		return w.noChange()
	}
	w.note("Apply it with talosctl patch machineconfig --patch @FILE")
	return encodeYAML(patch)
}

// bottlerocket writes settings of Bottlerocket (KernelSettingsV1 and settings.boot of its settings models).
func (w *writer) bottlerocket() (string, error) {
	kernel, settings := map[string]any{}, map[string]any{}
	// Its template of corndog.toml puts the value between quotes as it is: one with quotes breaks the file, and with
	// it all sysctls.
	wants := slices.DeleteFunc(w.hostSettings(), func(want sysfs.Want) bool {
		breaks := strings.ContainsAny(want.Value.String(), `"\`)
		if breaks {
			w.leave(want.Setting.Name, "Bottlerocket cannot set a text with quotes or backslashes")
		}
		return breaks
	})
	if len(wants) > 0 {
		kernel["sysctl"] = sysctls(wants)
	}
	if w.cfg.Module.Load {
		kernel["modules"] = map[string]any{kmod.Conntrack: map[string]bool{"allowed": true, "autoload": true}}
	}
	if len(kernel) > 0 {
		settings["kernel"] = kernel
	}
	w.notes = append(w.notes, w.options.AtLoadNotes...)
	if len(w.options.AtLoad) > 0 {
		w.note("The kernel parameters are in effect from the next boot on.")
		parameters := map[string][]string{}
		for _, p := range w.options.AtLoad {
			parameters[kmod.Conntrack+"."+p.Name] = []string{p.Value}
		}
		settings["boot"] = map[string]any{"kernel-parameters": parameters}
	}
	if len(settings) == 0 {
		return w.noChange()
	}
	w.note("Bottlerocket sets sysctls at boot and when the settings change, and skips one that does not exist then.")
	w.note("Put it into the user data of new nodes; on a node: apiclient apply <FILE")
	w.note("Variants that boot a unified kernel image refuse settings.kernel.sysctl and settings.kernel.modules.")
	return encodeTOML(map[string]any{"settings": settings})
}

// nixOS writes a module of NixOS: boot.kernel.sysctl becomes a file of sysctl.d, boot.extraModprobeConfig one of
// modprobe.d, and boot.kernelModules one of modules-load.d, which systemd reads before sysctl.d.
func (w *writer) nixOS() (string, error) {
	var b strings.Builder
	wants := w.hostSettings()
	if len(wants) > 0 {
		b.WriteString("  boot.kernel.sysctl = {\n")
		for _, want := range wants {
			value := nixString(want.Value.String())
			if _, isNumber := want.Value.Int(); isNumber {
				value = want.Value.String()
			}
			b.WriteString("    " + nixString(want.Setting.Sysctl()) + " = " + value + ";\n")
		}
		b.WriteString("  };\n")
	}
	switch {
	case w.cfg.Module.Load:
		b.WriteString("  boot.kernelModules = [ " + nixString(kmod.Conntrack) + " ];\n")
	case len(wants) > 0:
		w.note("module.load is false: at boot systemd-sysctl skips these keys if nf_conntrack is not loaded by then.")
	}
	w.notes = append(w.notes, w.options.AtLoadNotes...)
	if len(w.options.AtLoad) > 0 {
		line := "options " + kmod.Conntrack
		for _, p := range w.options.AtLoad {
			line += " " + p.Name + "=" + p.Value
		}
		b.WriteString("  boot.extraModprobeConfig = " + nixString(line+"\n") + ";\n")
	}
	if b.Len() == 0 {
		return w.noChange()
	}
	w.note("With it NixOS sets the same values at boot. Write it to /etc/nixos/ctkeeper.nix, add ./ctkeeper.nix to the")
	w.note("imports of configuration.nix, then nixos-rebuild switch.")
	return "{\n" + b.String() + "}\n", nil
}
