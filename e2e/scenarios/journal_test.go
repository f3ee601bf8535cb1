//go:build guest

package scenarios

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/systemd"
)

// TestJournalFields: one drift is one entry, with all its fields.
func TestJournalFields(t *testing.T) {
	startWithModule(t)
	since := journalEnd(t)
	write(t, sysctl("max"), "65536")
	since.wait(t, "drift", "max")
	all := since.unitEntries(t)
	if len(all) != 1 {
		t.Errorf("%d entries for one drift", len(all))
	}
	e := since.events(t, "drift")[0]
	for field, want := range map[string]string{
		"CTKEEPER_EVENT": "drift", "CTKEEPER_SETTING": "max", "CTKEEPER_WANT": "300000", "CTKEEPER_FOUND": "65536",
		"CTKEEPER_RESULT": "repaired", "CTKEEPER_CAUSE": "write", "SYSLOG_IDENTIFIER": "ctkeeper",
		"_SYSTEMD_UNIT": unit, "MESSAGE_ID": systemd.MessageID("drift"),
	} {
		if got := e.get(field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	if usec, err := strconv.Atoi(e.get("CTKEEPER_DURATION_USEC")); err != nil || usec <= 0 || usec > 5e6 {
		t.Errorf("CTKEEPER_DURATION_USEC=%q", e.get("CTKEEPER_DURATION_USEC"))
	}
	for _, word := range []string{"max", "65536", "300000"} {
		if !strings.Contains(e.get("MESSAGE"), word) {
			t.Errorf("MESSAGE does not contain %s: %s", word, e.get("MESSAGE"))
		}
	}
}

// TestModuleEntries: a load and an unload of the module is one entry each.
func TestModuleEntries(t *testing.T) {
	since := startWithModule(t)
	run(t, "modprobe", "-r", "nf_conntrack")
	since.wait(t, "module-unload")
	eventually(t, prompt, "STATUS is waiting again", func() bool {
		return strings.Contains(property(t, "StatusText"), "waiting for nf_conntrack")
	})
	for _, kind := range []string{"module-load", "module-unload", "config-loaded"} {
		if n := len(since.events(t, kind)); n != 1 {
			t.Errorf("%[2]d entries of %[1]s, want 1", kind, n)
		}
	}
	s, _ := document(t, "status")
	for _, one := range s.Settings {
		if one.State != "pending" {
			t.Errorf("%s is %s without the module", one.Name, one.State)
		}
	}
}

// TestCatalog: every kind of event has a text in the catalog, and journalctl -x prints it with the values of the
// entry.
func TestCatalog(t *testing.T) {
	since := startWithModule(t)
	for _, kind := range systemd.Kinds() {
		out, code := try(t, "journalctl", "--no-pager", "--list-catalog", systemd.MessageID(kind))
		if code != 0 || !strings.Contains(out, systemd.MessageID(kind)) {
			t.Errorf("no catalog entry for %s (%s): %s", kind, systemd.MessageID(kind), out)
		}
	}
	write(t, sysctl("max"), "65537")
	since.wait(t, "drift", "max")
	eventually(t, prompt, "the drift is in the journal", func() bool {
		return len(since.query(t, "CTKEEPER_FOUND=65537")) == 1
	})
	text := run(t, "journalctl", "-x", "--no-pager", "CTKEEPER_FOUND=65537")
	explained := regexp.MustCompile(`(?m)^(--|░░) Subject: .*`).FindString(text)
	if explained == "" {
		t.Errorf("journalctl -x explains nothing:\n%s", text)
	}
	for _, word := range []string{"max", "65537", "300000"} {
		if !strings.Contains(text[strings.Index(text, explained):], word) {
			t.Errorf("the explanation does not contain %s:\n%s", word, text)
		}
	}
	// journalctl prints the bare name of a field that the entry does not have. Names with = are part of commands, and
	// the text mentions those of the writer.
	named := regexp.MustCompile(`CTKEEPER_FOUND=65537|CTKEEPER_BY_(PID|COMM|UNIT)\b`).ReplaceAllString(text, "")
	if bare := regexp.MustCompile(`@?CTKEEPER_[A-Z_]+([^=A-Z_]|$)`).FindString(named); bare != "" {
		t.Errorf("the entry lacks a field of the text: %q\n%s", bare, text)
	}
	advised := run(t, "journalctl", "-u", "ctkeeper", "--no-pager", "CTKEEPER_EVENT=drift", "CTKEEPER_SETTING=max")
	if !strings.Contains(advised, "65537") {
		t.Errorf("the command in the explanation does not find the drift:\n%s", advised)
	}
	t.Log(text)
}
