package kmod

import (
	"bytes"
	"strings"
)

// Uevent is the kernel's report that a module was loaded or unloaded (lib/kobject_uevent.c). It is a
// reason to observe the module, never its state.
type Uevent struct {
	// Action is "add" or "remove".
	Action string
	// Module is the module's name as below /sys/module.
	Module string
}

// ParseUevent parses one message of NETLINK_KOBJECT_UEVENT: a header ACTION@DEVPATH and KEY=VALUE
// fields, each ended by NUL. It returns false unless the message is the add or remove of a module and
// its fields agree with its header.
func ParseUevent(message []byte) (Uevent, bool) {
	fields := bytes.Split(bytes.TrimSuffix(message, []byte{0}), []byte{0})
	action, path, ok := strings.Cut(string(fields[0]), "@")
	name, isModule := strings.CutPrefix(path, "/module/")
	if !ok || !isModule || name == "" || strings.Contains(name, "/") || action != "add" && action != "remove" {
		return Uevent{}, false
	}
	want := map[string]string{"ACTION": action, "DEVPATH": path, "SUBSYSTEM": "module"}
	for _, field := range fields[1:] {
		key, value, _ := strings.Cut(string(field), "=")
		if expected, known := want[key]; known && value != expected {
			return Uevent{}, false
		}
		delete(want, key)
	}
	if len(want) > 0 {
		return Uevent{}, false
	}
	return Uevent{Action: action, Module: name}, true
}
