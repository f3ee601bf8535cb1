package buildinfo

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Build is how a program was built.
type Build struct {
	Version string `json:"version"` // without a "v"; "devel" if nothing has it
	// Commit is the first 12 digits of the commit, with "-modified" if the files were not those of the commit. It is
	// empty for a program that was not built in a clone.
	Commit string `json:"commit,omitempty"`
	Go     string `json:"go"`
	Arch   string `json:"arch"`
}

// Read returns how the running program was built. linked is the version that the linker was given, or empty.
func Read(linked string) Build {
	info, ok := debug.ReadBuildInfo()
	if !ok { // it was built without modules
		info = &debug.BuildInfo{}
	}
	return from(info, linked)
}

func from(info *debug.BuildInfo, linked string) Build {
	b := Build{Version: linked, Go: runtime.Version(), Arch: runtime.GOARCH}
	if b.Version == "" {
		b.Version = strings.TrimPrefix(info.Main.Version, "v")
	}
	if b.Version == "" || b.Version == "(devel)" { // what Go calls a build without a version
		b.Version = "devel"
	}
	modified := ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			b.Commit = setting.Value[:min(12, len(setting.Value))]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			modified = "-modified"
		}
	}
	if b.Commit != "" {
		b.Commit += modified
	}
	return b
}

// String returns the build in one line: "0.1.0 (commit 0123456789ab, go1.26.4, amd64)".
func (b Build) String() string {
	commit := ""
	if b.Commit != "" {
		commit = "commit " + b.Commit + ", "
	}
	return fmt.Sprintf("%s (%s%s, %s)", b.Version, commit, b.Go, b.Arch)
}
