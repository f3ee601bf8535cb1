package config

import (
	"maps"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// position is a place in a file.
type position struct {
	file         string // as the host sees it
	open         string // the path to open
	line, column int
}

// origin is the position as a Config has it.
func (p position) origin() tree.Place { return tree.Place{File: p.file, Line: p.line} }

// fault is what is wrong with a value, before anybody knows where it stands.
type fault struct {
	problem, allowed string
	err              error
}

func (f *fault) at(p position, key string) Error {
	return Error{File: p.open, Line: p.line, Column: p.column, Key: key, Problem: f.problem, Allowed: f.allowed, Err: f.err}
}

// given is a value that a file gives, or not.
type given[T any] struct {
	value T
	at    position
	set   bool
}

// over is the later of two: g where it is set.
func (g given[T]) over(earlier given[T]) given[T] {
	if g.set {
		return g
	}
	return earlier
}

// want is what a file asks of a setting, "auto" not yet sized.
type want struct {
	setting *sysfs.Setting
	key     string // as written, for errors
	policy  sysfs.Policy
	value   sysfs.Value
	auto    bool
	at      position
}

// parameter is a load-time parameter that a file gives.
type parameter struct {
	name, value string
	at          position
}

// layer is what one file says.
type layer struct {
	wants      map[string]want // by the setting's name
	parameters map[string]parameter
	load       given[bool]
	mode       given[reconcile.Mode]
	resync     given[time.Duration]
	guardMode  given[GuardMode]
	guardAllow given[[]string]
	listen     given[string]
	webConfig  given[string]
	textfile   given[string]
}

func newLayer() layer {
	return layer{wants: map[string]want{}, parameters: map[string]parameter{}}
}

// merge lays the layers over each other: the later wins, setting by setting and
// key by key.
func merge(layers []layer) layer {
	all := newLayer()
	for _, next := range layers {
		maps.Copy(all.wants, next.wants)
		maps.Copy(all.parameters, next.parameters)
		all.load = next.load.over(all.load)
		all.mode = next.mode.over(all.mode)
		all.resync = next.resync.over(all.resync)
		all.guardMode = next.guardMode.over(all.guardMode)
		all.guardAllow = next.guardAllow.over(all.guardAllow)
		all.listen = next.listen.over(all.listen)
		all.webConfig = next.webConfig.over(all.webConfig)
		all.textfile = next.textfile.over(all.textfile)
	}
	return all
}
