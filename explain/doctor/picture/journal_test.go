package picture

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

func TestParseJournal(t *testing.T) {
	for line, want := range map[string]string{
		`{"__REALTIME_TIMESTAMP":"1772359200000000","CTKEEPER_EVENT":"drift","CTKEEPER_SETTING":"max",` +
			`"CTKEEPER_FOUND":"131072","CTKEEPER_CAUSE":"write","CTKEEPER_BY_PID":"9",` +
			`"CTKEEPER_BY_COMM":"kube-proxy","CTKEEPER_BY_UNIT":"kube-proxy.service","MESSAGE":["not","text"]}`: "" +
			"max was set to 131072 by kube-proxy (pid 9, kube-proxy.service) at 2026-03-01T10:00:00Z",
		`{"__REALTIME_TIMESTAMP":"1","CTKEEPER_EVENT":"drift","CTKEEPER_SETTING":"max","CTKEEPER_FOUND":"5"}`: "",
		`{"__REALTIME_TIMESTAMP":"1","MESSAGE":"started"}`:                                                    "",
		`{"__REALTIME_TIMESTAMP":"x","CTKEEPER_EVENT":"drift"}`:                                               "",
		`{"CTKEEPER_EVENT":["drift"]}`:                                                                        "",
		`nonsense`:                                                                                            "",
	} {
		var r record
		if e, ok := parseJournal([]byte(line)); ok {
			r.add(tree.Place{File: "journal"}, e)
		}
		got := ""
		if len(r.writes) > 0 {
			got = r.writes[0].Evidence().Text
		}
		if got != want {
			t.Errorf("%s is %q, want %q", line, got, want)
		}
	}
}
