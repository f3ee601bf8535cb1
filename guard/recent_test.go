package guard

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Two who wrote the same value may have written it in two network namespaces: neither is named for certain.
func TestTwoCandidates(t *testing.T) {
	now := time.Now()
	root := sysfs.Writer{PID: 10, Comm: "sysctl", Unit: "sshd.service"}
	user := sysfs.Writer{PID: 20, Comm: "evil", Unit: "session-3.scope"}
	again := sysfs.Writer{PID: 11, Comm: "sysctl", Unit: "sshd.service"}
	const both = "evil (pid 20, session-3.scope) or sysctl (pid 10, sshd.service)"
	tests := []struct {
		name, setting string
		inNetns       bool
		writers       []sysfs.Writer // in the order of their writes
		want          string
	}{
		{"one", "udp_timeout", false, []sysfs.Writer{root}, "sysctl (pid 10, sshd.service)"},
		{"two", "udp_timeout", false, []sysfs.Writer{root, user}, both},
		{"two in this namespace", "udp_timeout", true, []sysfs.Writer{user, root}, "sysctl (pid 10, sshd.service)"},
		{"a program twice", "udp_timeout", false, []sysfs.Writer{root, again}, "sysctl (pid 11, sshd.service)"},
		{"a setting of the host alone", sysfs.Max, false, []sysfs.Writer{user, root}, "sysctl (pid 10, sshd.service)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sysfs.Lookup(tt.setting)
			m := recent{writes: map[string][]write{
				// Another value, and one that is too old.
				s.Name: {{at: now.Add(-time.Minute), value: "7", by: user}, {at: now, value: "8", by: user}},
			}}
			for _, by := range tt.writers {
				m.writes[s.Name] = keepLast(m.writes[s.Name], write{at: now, value: "7", by: by, inNetns: tt.inNetns})
			}
			got := m.writerOf(s, sysfs.Number(7), now.Add(-time.Second))
			if got == nil || got.String() != tt.want {
				t.Errorf("writer %v, want %s", got, tt.want)
			}
		})
	}
}

// Who was reported for a drift is no candidate for the next one.
func TestReportedCandidates(t *testing.T) {
	now, s := time.Now(), sysfs.Lookup("udp_timeout")
	m := recent{writes: map[string][]write{}}
	add := func(comm string) {
		m.writes[s.Name] = keepLast(m.writes[s.Name], write{at: now, value: "7", by: sysfs.Writer{Comm: comm}})
	}
	named := func() string { return m.writerOf(s, sysfs.Number(7), now).String() }
	var got []string
	add("a")
	got = append(got, named())
	add("b")
	got = append(got, named(), named())
	for n := range maxKept {
		add(fmt.Sprint("forged", n))
	}
	got = append(got, named())
	want := []string{"a", "b", "b", "forged31 or forged30 or forged29 or somebody"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("writers (-want +got):\n%s", diff)
	}
}
