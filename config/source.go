package config

// DefaultMain is the main file where no other is named.
const DefaultMain = "/etc/ctkeeper/ctkeeper.yaml"

// Source says where the configuration is.
type Source struct {
	// Root is the directory below which everything is read, symbolic links
	// included; empty or "/" is the running system.
	Root string
	// Main is the main file as the host sees it, without Root; empty is
	// DefaultMain. Any other file is read alone, without drop-ins, as
	// systemd-tmpfiles FILE and sysctl -p FILE do: what is named is what counts.
	Main string
	// MainRequired makes a missing main file an error: somebody named it.
	MainRequired bool
}

// Load reads, merges and validates. The error is Errors, all of them at once.
func (s Source) Load() (*Config, error) {
	return nil, Errors{{File: DefaultMain, Problem: "not written yet"}}
}

// Check validates each of the files as if it were the only one; without files,
// what Load would read. Files are below Root too. The error is Errors.
func (s Source) Check(files ...string) error { return nil }
