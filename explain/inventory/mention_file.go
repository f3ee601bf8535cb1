package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
)

// keyPattern matches nf_conntrack or ip_conntrack with what follows of a key, not within another word:
// node_nf_conntrack_entries is a metric of node_exporter.
var keyPattern = pattern.New(`(?:^|[^A-Za-z0-9_])((?:nf|ip)_conntrack(?:_[a-z0-9_]*)?)`)

// otherModule matches the modules that are named after nf_conntrack and have no settings of it: helpers,
// netlink.
var otherModule = pattern.New(`^(?:nf|ip)_conntrack_(?:amanda|bridge|broadcast|ftp|h323|irc|netbios_ns|` +
	`netlink|ovs|pptp|proto_[a-z]+|sane|sip|snmp|tftp)$`)

// proxyKey matches the options of kube-proxy that decide max, among the proxyArguments of an OpenShift node.
var proxyKey = pattern.New(`\b(?:conntrack-max-per-core|conntrack-min|maxPerCore)["']?(?:$|[=:\s])`)

// fileKind is how a file could set a value.
type fileKind int

const (
	// kindInert is a file that nothing loads, or that is known only to read values: a backup,
	// documentation, a check of a monitoring system.
	kindInert fileKind = iota
	kindShell
	// kindProgram is a script of another interpreter: Python, Perl.
	kindProgram
	kindUnit
	kindConfig
)

// searchedFile is a file that is searched for mentions.
type searchedFile struct {
	kind fileKind
	// isRun is true if something runs or loads the file: it is executable, or in a directory of units,
	// of cron, of configuration.
	isRun bool
	text  string
	lines []string
}

func newSearchedFile(root searchRoot, file string, isExecutable bool, text string) searchedFile {
	f := searchedFile{text: text, isRun: true, lines: strings.Split(text, "\n")}
	shebang, isScript := strings.CutPrefix(f.lines[0], "#!")
	switch {
	case isInert(file):
	case strings.Contains(file, "/systemd/") && (isUnit(file) || strings.HasSuffix(path.Dir(file), ".d")):
		f.kind = kindUnit
	case isScript && !shellPattern.MatchString(shebang), programExtension.MatchString(file):
		f.kind, f.isRun = kindProgram, isExecutable
	case isScript, strings.HasSuffix(file, ".sh"), isExecutable, isShellFile(file):
		f.kind, f.isRun = kindShell, isExecutable || isShellFile(file)
	case root.isConfig:
		f.kind = kindConfig
	}
	if f.kind != kindInert && !isExecutable && needsExecutable(file) {
		f.kind = kindInert
	}
	f.isRun = f.isRun && f.kind != kindInert
	return f
}

var (
	shellPattern     = pattern.New(`\b(?:sh|bash|dash|ash|ksh|mksh|zsh|openrc-run|runscript|rc\.common)\b`)
	programExtension = pattern.New(`\.(?:py|pl|rb|php|lua|js|tcl)$`)
	// inertName matches backups, files that a package manager left, samples and documentation.
	inertName = pattern.New(`(?i)(?:~|\.(?:bak|backup|orig|old|save|saved|rpmsave|rpmnew|rpmorig|swp|disabled|` +
		`off|dpkg-[a-z]+|ucf-[a-z]+|pacnew|pacsave|apk-new|example|sample|md|txt|rst|adoc|html?|log|[0-9])|` +
		`^(?:readme|changelog|license|news|todo)[^/]*)$`)
	// monitorDir matches directories of what reads values: monitoring, log analysis, auditing, and
	// sudoers, which permits commands and runs none.
	monitorDir = pattern.New(`/(?:zabbix|nagios|nrpe|icinga|collectd|telegraf|netdata|prometheus|munin|monit|` +
		`snmp|check[_-]?mk|datadog|grafana|sensu|newrelic|metricbeat|filebeat|logcheck|logwatch|rsyslog|syslog-ng|` +
		`fail2ban|audit|sudoers|node[_-]exporter|plugins/check_|sos)[^/]*(?:/|$)`)
	unitExtension = pattern.New(`\.(?:service|timer|path|socket|mount|target|slice|scope|automount)$`)
)

// isInert reports whether nothing loads a file, or only what reads values. In sysctl.d and the like it is a
// file without the extension that is read there.
func isInert(file string) bool {
	isScript := strings.HasPrefix(file, "/var/lib/cloud/") && strings.HasSuffix(file, ".txt") // user-data.txt
	isOther := slices.Contains([]string{"sysctl.d", "modprobe.d", "modules-load.d"}, path.Base(path.Dir(file)))
	return inertName.MatchString(path.Base(file)) && !isScript || monitorDir.MatchString(file) || isOther
}

func isUnit(file string) bool { return unitExtension.MatchString(file) }

// isShellFile reports whether a file is shell text because of its place: the tables of cron, what a login
// shell or ifup reads, cloud-init's scripts.
func isShellFile(file string) bool {
	return hasDir(file, "/etc/cron.d", "/var/spool/cron", "/etc/crontab", "/etc/crontabs", "/etc/anacrontab",
		"/etc/profile", "/etc/profile.d", "/etc/bashrc", "/etc/bash.bashrc", "/etc/network/interfaces",
		"/etc/network/interfaces.d", "/etc/default", "/etc/conf.d", "/etc/init", "/etc/hotplug.d",
		"/etc/uci-defaults", "/etc/firewall.user")
}

// needsExecutable reports whether a file is run from a directory by what runs only executable files.
func needsExecutable(file string) bool {
	return hasDir(file, "/etc/rc.local", "/etc/rc.d", "/etc/init.d", "/etc/local.d", "/etc/cron.hourly",
		"/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly", "/etc/network/if-pre-up.d", "/etc/network/if-up.d",
		"/etc/network/if-down.d", "/etc/network/if-post-down.d", "/etc/NetworkManager/dispatcher.d",
		"/usr/lib/NetworkManager/dispatcher.d", "/etc/networkd-dispatcher", "/etc/sysconfig/modules")
}

// hasDir reports whether a file is one of those, or below one of them.
func hasDir(file string, all ...string) bool {
	return slices.ContainsFunc(all, func(dir string) bool { return file == dir || strings.HasPrefix(file, dir+"/") })
}

// isMention reports whether a line names nf_conntrack, and not only in a comment or in a description.
func (f searchedFile) isMention(line string) bool {
	line = withoutComment(line)
	if line == "" || f.kind == kindUnit && (strings.HasPrefix(line, "Description=") ||
		strings.HasPrefix(line, "Documentation=")) {
		return false
	}
	keys := keyPattern.FindAllStringSubmatch(line, -1)
	return f.isProxyOption(line) || slices.ContainsFunc(keys, func(match []string) bool {
		return !otherModule.MatchString(match[1])
	})
}

func (f searchedFile) isProxyOption(line string) bool {
	return strings.Contains(f.text, "proxyArguments") && proxyKey.MatchString(line)
}

// withoutComment returns a line without a comment, in any of the usual forms.
func withoutComment(line string) string {
	line = strings.TrimSpace(line)
	for _, start := range []string{"#", ";", "//", "--", "*", "/*", "<!--", "{#", "%"} {
		if strings.HasPrefix(line, start) {
			return ""
		}
	}
	for _, start := range []string{" #", "\t#"} {
		if before, comment, found := strings.Cut(line, start); found && !strings.ContainsAny(comment, `"'`) {
			line = before
		}
	}
	return strings.TrimSpace(line)
}

// The ways to write a value.
var (
	// assigned matches a key with a number, or with a variable or a template for one, behind it.
	assigned = pattern.New(`(?:nf|ip)_conntrack_[a-z0-9_]+["'\]]*\s*(?:=>|[:=,\s])[\s"'\[(]*` +
		`(?:value["']?\s*(?:=>|[:=])\s*["']?)?[\d$%{<]|hashsize["']?\s*[:=]\s*["']?[\d$%{<]`)
	// commanded matches a command that writes a key.
	commanded = pattern.New(`\bsysctl\b.*(?:\s-w\b|--write\b).*_conntrack|\bsysctl\b.*_conntrack\S*=|` +
		`>\s*["']?\S*_conntrack|\btee\b.*_conntrack|hashsize=`)
	valueLine = pattern.New(`^[\s-]*["']?(?:sysctl_)?value["']?\s*(?:=>|[:=]|\s)\s*["']?[\d$%{<]`)
	// indirect matches a command that writes a key which a variable holds.
	indirect = pattern.New(`\bsysctl\b[^\n|;]*(?:(?:\s-w\b|--write\b)[^\n|;]*\$|\$\{?\w+\}?["']?=)|` +
		`(?:>|\btee\b[^\n|;]*)\s*["']?(?:/proc/sys/[^\s"'|;]*)?\$[\w{]`)
	// programWrites matches what a script of Python, Perl or the like writes with.
	// Its target is a variable, or a file that sets values: a file of metrics sets no value.
	programWrites = pattern.New(`\bsysctl\b[^\n]*(?:-w\b|--write\b|=)|(?i:\bset_?sysctl)|` +
		`\bopen\s*\((?:[^\n]*["']/(?:proc|sys|etc)|\s*[A-Za-z_])[^\n]*,\s*(?:mode\s*=\s*)?["'][wa]b?\+?["']|` +
		`(?:["']/(?:proc|sys|etc)[^\n]*|\w)\.write_(?:text|bytes)\(|` +
		`\bopen\b[^\n]*["']\+?>{1,2}\s*(?:\$|/proc|/sys|/etc)|` +
		`\bopen\b[^\n]*["']\+?>{1,2}["']\s*,\s*(?:\$|["']/(?:proc|sys|etc))|` +
		`\b(?:File|IO)\.write\(|\bwriteFile(?:Sync)?\(|` + "[\"'`]" + `[^\n]*\becho\b[^\n]*>\s*(?:\$|/proc|/sys|/etc)`)
)

// canWrite reports whether a line can write the key that it has, directly or through the rest of the file.
func (f searchedFile) canWrite(number int, line string) bool {
	line = withoutComment(line)
	if f.isProxyOption(line) {
		return f.kind == kindConfig
	}
	switch f.kind {
	case kindShell:
		return f.shellWrites(line)
	case kindProgram:
		return programWrites.MatchString(f.text)
	case kindUnit:
		key, value, _ := strings.Cut(line, "=")
		return strings.HasPrefix(key, "Exec") && f.shellWrites(strings.TrimLeft(value, "@-:+!|")) ||
			key == "Environment" && indirect.MatchString(f.text)
	case kindConfig:
		return assigned.MatchString(line) || commanded.MatchString(line) || f.hasValueBelow(number)
	}
	return false
}

// hasValueBelow reports whether one of the next lines assigns a value to what a line names: "name: KEY" and
// "value: 1" of Ansible, Chef and Puppet.
func (f searchedFile) hasValueBelow(number int) bool {
	const near = 3
	return slices.ContainsFunc(f.lines[min(number, len(f.lines)):min(number+near, len(f.lines))], valueLine.MatchString)
}
