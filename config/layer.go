package config

import (
	"maps"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// optional is a value that a file sets, or does not set.
type optional[T any] struct {
	value T
	at    position
	set   bool
}

// or returns o where it is set, and earlier otherwise.
func (o optional[T]) or(earlier optional[T]) optional[T] {
	if o.set {
		return o
	}
	return earlier
}

// want is a setting's want in a file. The value of "auto" is not computed yet.
type want struct {
	setting *sysfs.Setting
	key     string // as written, for errors
	policy  sysfs.Policy
	value   sysfs.Value
	auto    bool
	at      position
}

// parameter is a load-time parameter in a file.
type parameter struct {
	name, value string
	at          position
}

// layer is the content of one file, or of several merged ones.
type layer struct {
	wants      map[string]want // by the setting's name
	parameters map[string]parameter
	load       optional[bool]
	mode       optional[reconcile.Mode]
	resync     optional[time.Duration]
	guardMode  optional[GuardMode]
	guardAllow optional[[]string]
}

func newLayer() layer {
	return layer{wants: map[string]want{}, parameters: map[string]parameter{}}
}

// merge merges layers: a later one overrides an earlier one, setting by setting and key by key.
func merge(layers []layer) layer {
	all := newLayer()
	for _, next := range layers {
		maps.Copy(all.wants, next.wants)
		maps.Copy(all.parameters, next.parameters)
		all.load = next.load.or(all.load)
		all.mode = next.mode.or(all.mode)
		all.resync = next.resync.or(all.resync)
		all.guardMode = next.guardMode.or(all.guardMode)
		all.guardAllow = next.guardAllow.or(all.guardAllow)
	}
	return all
}
