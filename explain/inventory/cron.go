package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

var (
	// partName is what run-parts and Debian's cron accept as the name of a file. cronie accepts more.
	partName = pattern.New(`^[A-Za-z0-9_-]+$`)
	// cronVariable is a line that sets a variable (crontab(5)).
	cronVariable = pattern.New(`^["']?([A-Za-z_]\w*)["']?\s*=\s*(.*)$`)
	// cronEnd is the first % of a command that no backslash escapes: it ends the command.
	cronEnd = pattern.New(`(^|[^\\])%`)
)

// readCron reads the jobs of cron(8).
func (r *reader) readCron() {
	doubt := "nothing shows that cron runs here"
	for _, name := range []string{"cron", "crond", "cronie"} {
		if r.isInstalled(name) && r.isEnabled(name) {
			doubt = ""
		}
	}
	r.readCrontab("/etc/crontab", true, doubt)
	for _, name := range r.list("/etc/cron.d") {
		switch {
		case strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~"):
		case partName.MatchString(name) || doubt != "":
			r.readCrontab(path.Join("/etc/cron.d", name), true, doubt)
		default:
			r.readCrontab(path.Join("/etc/cron.d", name), true, "Debian's cron reads no file of such a name")
		}
	}
	for _, dir := range []string{
		"/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron", "/etc/crontabs",
	} {
		r.readCrontab(path.Join(dir, "root"), false, doubt)
	}
	for _, often := range []string{"15min", "hourly", "daily", "weekly", "monthly"} {
		for _, dir := range []string{"/etc/cron.", "/etc/periodic/"} {
			r.addScriptDir(dir+often, script{tool: "cron", phase: Periodically, uncertain: doubt, args: []string{}})
		}
	}
}

// isInstalled reports whether a service is there, by its program, unit or script.
func (r *reader) isInstalled(service string) bool {
	return slices.ContainsFunc([]string{
		"/usr/sbin/" + service, "/usr/bin/" + service, "/sbin/" + service, "/etc/init.d/" + service,
		"/usr/lib/systemd/system/" + service + ".service", "/lib/systemd/system/" + service + ".service",
	}, r.tree.Exists)
}

// readCrontab reads one table. Those of the system name the user of each job.
func (r *reader) readCrontab(file string, namesUser bool, doubt string) {
	text, found := r.scriptFile(file)
	if !found {
		return
	}
	vars := map[string]string{}
	for number, line := range numbered(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if match := cronVariable.FindStringSubmatch(line); match != nil {
			vars[match[1]] = strings.Trim(match[2], `"'`)
			continue
		}
		s := script{
			Place: tree.Place{File: file, Line: number}, oneLine: true, tool: "cron", phase: Periodically,
			uncertain: doubt, args: []string{}, vars: vars,
		}
		fields := 5
		if strings.HasPrefix(line, "@") {
			fields = 1
		}
		if strings.HasPrefix(line, "@reboot") {
			s.phase = AtServiceStart
		}
		if namesUser {
			fields++
		}
		var user string
		for range fields {
			user, line = cutField(line)
		}
		if namesUser && user != "root" && s.uncertain == "" {
			s.uncertain = "it does not run as root"
		}
		if end := cronEnd.FindStringIndex(line); end != nil {
			line = line[:end[1]-1]
		}
		r.addScript(s, strings.ReplaceAll(line, `\%`, "%"))
	}
}

// cutField cuts the first word from a line.
func cutField(line string) (field, rest string) {
	line = strings.TrimLeft(line, " \t")
	end := strings.IndexAny(line, " \t")
	if end < 0 {
		return line, ""
	}
	return line[:end], strings.TrimLeft(line[end:], " \t")
}

// addScriptDir adds what the scripts in a directory set that run-parts runs, or a program like it.
func (r *reader) addScriptDir(dir string, s script) {
	for _, name := range r.list(dir) {
		each := s
		if !partName.MatchString(name) {
			if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") {
				continue
			}
			each.uncertain = "run-parts of Debian runs no file of such a name"
		}
		r.addScriptAt(path.Join(dir, name), each)
	}
}

// addScriptAt adds what an executable script sets, if it may set anything.
func (r *reader) addScriptAt(file string, s script) {
	text, found := r.scriptFile(file)
	if !found || !mightSet(text) {
		return
	}
	if !r.isExecutable(file) && s.noEffect == "" {
		s.noEffect = notExecutable
	}
	s.Place = tree.Place{File: file}
	r.addScript(s, text)
	if s.noEffect == notExecutable || s.tool == "local.d" {
		r.addDeadScript(s, text)
	}
}
