package config

import (
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// View is the document of a Config, for programs (config show -o json). Every value has its
// origin.
type View struct {
	Files       []string        `json:"files"`
	Hash        string          `json:"hash"`
	Hidden      []Hidden        `json:"hidden"`
	Warnings    []string        `json:"warnings"`
	Settings    []SettingView   `json:"settings"`
	Module      ModuleView      `json:"module"`
	Enforcement EnforcementView `json:"enforcement"`
	Guard       GuardView       `json:"guard"`
}

// Value is a value and its place.
type Value[T any] struct {
	Value  T          `json:"value"`
	Origin tree.Place `json:"origin"`
}

// SettingView is the want of one setting.
type SettingView struct {
	Name   string       `json:"setting"`
	Sysctl string       `json:"sysctl"`
	Policy sysfs.Policy `json:"policy"`
	// Want is the value that is written, also where Auto is true.
	Want sysfs.Value `json:"want"`
	Auto bool        `json:"auto"`
	// MemoryBytes is what a full table takes; 0 for other settings.
	MemoryBytes int64      `json:"memory_bytes"`
	Origin      tree.Place `json:"origin"`
}

// ModuleView is the section module.
type ModuleView struct {
	Load       Value[bool]              `json:"load"`
	Parameters map[string]Value[string] `json:"parameters"`
}

// EnforcementView is the section enforcement.
type EnforcementView struct {
	Mode   Value[reconcile.Mode] `json:"mode"`
	Resync Value[float64]        `json:"resync_seconds"`
}

// GuardView is the section guard.
type GuardView struct {
	Mode  Value[GuardMode] `json:"mode"`
	Allow Value[[]string]  `json:"allow"`
}

// View returns the document. Its lists are never nil, so that they are [] and not null in JSON.
func (c *Config) View() View {
	v := View{
		Files:    append([]string{}, c.Files...),
		Hash:     c.Hash,
		Hidden:   append([]Hidden{}, c.Hidden...),
		Warnings: append([]string{}, c.Warnings...),
		Settings: []SettingView{},
		Module: ModuleView{
			Load:       Value[bool]{c.Module.Load, c.Origins[keyModuleLoad]},
			Parameters: map[string]Value[string]{},
		},
		Enforcement: EnforcementView{
			Mode:   Value[reconcile.Mode]{c.Mode, c.Origins[keyMode]},
			Resync: Value[float64]{c.Resync.Seconds(), c.Origins[keyResync]},
		},
		Guard: GuardView{
			Mode:  Value[GuardMode]{c.Guard.Mode, c.Origins[keyGuardMode]},
			Allow: Value[[]string]{append([]string{}, c.Guard.Allow...), c.Origins[keyGuardAllow]},
		},
	}
	for _, w := range c.Wants {
		v.Settings = append(v.Settings, SettingView{
			Name: w.Setting.Name, Sysctl: w.Setting.Sysctl(), Policy: w.Policy, Want: w.Value,
			Auto: w.Auto, MemoryBytes: w.MemoryBytes(), Origin: w.Origin,
		})
	}
	for _, p := range c.Module.Parameters {
		v.Module.Parameters[p.Name] = Value[string]{p.Value, p.Origin}
	}
	return v
}
