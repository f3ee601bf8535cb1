package buildinfo

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestFrom(t *testing.T) {
	const hash = "0123456789abcdef0123456789abcdef01234567"
	revision := debug.BuildSetting{Key: "vcs.revision", Value: hash}
	clean := debug.BuildSetting{Key: "vcs.modified", Value: "false"}
	modified := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	tests := []struct {
		name, linked, module string
		settings             []debug.BuildSetting
		want                 string // before Go and architecture
	}{
		{"make build", "0.1.0", "v0.0.0-20261127111900-0123456789ab", []debug.BuildSetting{revision, clean},
			"0.1.0 (commit 0123456789ab, "},
		{"make build, changed files", "0.1.0", "", []debug.BuildSetting{modified, revision},
			"0.1.0 (commit 0123456789ab-modified, "},
		{"go install of a version", "", "v0.1.0", nil, "0.1.0 ("},
		{"go build in a clone", "", "v0.0.0-20261127111900-0123456789ab+dirty",
			[]debug.BuildSetting{revision, modified},
			"0.0.0-20261127111900-0123456789ab+dirty (commit 0123456789ab-modified, "},
		{"without a clone", "", "(devel)", nil, "devel ("},
		{"a release's archive", "0.1.0", "(devel)", []debug.BuildSetting{clean}, "0.1.0 ("},
		{"nothing", "", "", nil, "devel ("},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			info := &debug.BuildInfo{Main: debug.Module{Version: test.module}, Settings: test.settings}
			want := test.want + runtime.Version() + ", " + runtime.GOARCH + ")"
			if got := from(info, test.linked).String(); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
