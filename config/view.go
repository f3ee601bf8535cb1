package config

import "github.com/ctkeeper/ctkeeper/sysfs"

// View is a Config in the form for programs (config show -o json). Every value
// has its origin.
type View struct {
	Files       []string        `json:"files" yaml:"files"`
	Hidden      []Hidden        `json:"hidden" yaml:"hidden"`
	Warnings    []string        `json:"warnings" yaml:"warnings"`
	Settings    []SettingView   `json:"settings" yaml:"settings"`
	Module      ModuleView      `json:"module" yaml:"module"`
	Enforcement EnforcementView `json:"enforcement" yaml:"enforcement"`
	Guard       GuardView       `json:"guard" yaml:"guard"`
	Metrics     MetricsView     `json:"metrics" yaml:"metrics"`
}

// Value is a value and the file:line that gives it.
type Value[T any] struct {
	Value  T      `json:"value" yaml:"value"`
	Origin string `json:"origin" yaml:"origin"`
}

// SettingView is one want.
type SettingView struct {
	Name   string       `json:"name" yaml:"name"`
	Sysctl string       `json:"sysctl" yaml:"sysctl"`
	Policy sysfs.Policy `json:"policy" yaml:"policy"`
	// Value is as the kernel takes it; where Auto, what auto came to.
	Value string `json:"value" yaml:"value"`
	Auto  bool   `json:"auto" yaml:"auto"`
	// MemoryBytes is what a full table costs; 0 where the setting costs none.
	MemoryBytes int64  `json:"memory_bytes" yaml:"memory_bytes"`
	Origin      string `json:"origin" yaml:"origin"`
}

// ModuleView is the section module.
type ModuleView struct {
	Load       Value[bool]              `json:"load" yaml:"load"`
	Parameters map[string]Value[string] `json:"parameters" yaml:"parameters"`
}

// EnforcementView is the section enforcement; Resync is a duration such as 5s.
type EnforcementView struct {
	Mode   Value[Mode]   `json:"mode" yaml:"mode"`
	Resync Value[string] `json:"resync" yaml:"resync"`
}

// GuardView is the section guard.
type GuardView struct {
	Mode  Value[GuardMode] `json:"mode" yaml:"mode"`
	Allow Value[[]string]  `json:"allow" yaml:"allow"`
}

// MetricsView is the section metrics.
type MetricsView struct {
	Listen    Value[string] `json:"listen" yaml:"listen"`
	WebConfig Value[string] `json:"web_config" yaml:"web_config"`
	Textfile  Value[string] `json:"textfile" yaml:"textfile"`
}

// View gives the form for programs. Its lists are never nil, so that a program
// finds [] and not null.
func (c *Config) View() View {
	v := View{
		Files:    append([]string{}, c.Files...),
		Hidden:   append([]Hidden{}, c.Hidden...),
		Warnings: append([]string{}, c.Warnings...),
		Settings: []SettingView{},
		Module: ModuleView{
			Load:       Value[bool]{c.Module.Load, c.Origins[keyModuleLoad]},
			Parameters: map[string]Value[string]{},
		},
		Enforcement: EnforcementView{
			Mode:   Value[Mode]{c.Mode, c.Origins[keyMode]},
			Resync: Value[string]{shortDuration(c.Resync), c.Origins[keyResync]},
		},
		Guard: GuardView{
			Mode:  Value[GuardMode]{c.Guard.Mode, c.Origins[keyGuardMode]},
			Allow: Value[[]string]{append([]string{}, c.Guard.Allow...), c.Origins[keyGuardAllow]},
		},
		Metrics: MetricsView{
			Listen:    Value[string]{c.Metrics.Listen, c.Origins[keyMetricsListen]},
			WebConfig: Value[string]{c.Metrics.WebConfig, c.Origins[keyMetricsWebConfig]},
			Textfile:  Value[string]{c.Metrics.Textfile, c.Origins[keyMetricsTextfile]},
		},
	}
	for _, w := range c.Wants {
		cost, _ := Memory(w)
		v.Settings = append(v.Settings, SettingView{
			Name: w.Setting.Name, Sysctl: w.Setting.Sysctl(), Policy: w.Policy, Value: w.Value,
			Auto: w.Auto, MemoryBytes: cost, Origin: w.Origin,
		})
	}
	for _, p := range c.Module.Parameters {
		v.Module.Parameters[p.Name] = Value[string]{p.Value, p.Origin}
	}
	return v
}
