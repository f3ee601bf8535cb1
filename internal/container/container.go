package container

import (
	"encoding/json"
	"os"
	"path/filepath"
)

type object = map[string]any

// Capabilities are those that a container has.
type Capabilities struct {
	Names   []string // as CAP_NET_ADMIN: bounding, permitted and effective
	Ambient bool     // also inheritable and ambient, which Kubernetes has no field for
}

func (c Capabilities) sets() object {
	sets := object{"bounding": c.Names, "permitted": c.Names, "effective": c.Names}
	if c.Ambient {
		sets["inheritable"], sets["ambient"] = c.Names, c.Names
	}
	return sets
}

// Write makes dir a bundle (github.com/opencontainers/runtime-spec) that runs ctkeeper as the chart's pod does: the
// root in dir/rootfs is read-only, the network is that of runc, the process cannot gain privileges, and the kernel's
// files are those of the host, below /host. The configuration is the directory dir/config.
func Write(dir string, uid int, capabilities Capabilities, args ...string) error {
	var namespaces []object
	for _, kind := range []string{"pid", "ipc", "uts", "mount"} {
		namespaces = append(namespaces, object{"type": kind})
	}
	bind := func(source, target, mode string) object {
		return object{"source": source, "destination": target, "options": []string{"bind", mode}}
	}
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2", "root": object{"path": "rootfs", "readonly": true},
		"process": object{
			"user": object{"uid": uid, "gid": uid}, "cwd": "/", "noNewPrivileges": true,
			"capabilities": capabilities.sets(), "args": args,
		},
		"mounts": []object{
			{"source": "proc", "destination": "/proc", "type": "proc"},
			{"source": "tmpfs", "destination": "/run/ctkeeper", "type": "tmpfs"},
			{"source": "tmpfs", "destination": "/var/lib/ctkeeper", "type": "tmpfs"},
			bind("/proc/sys/net", "/host/proc/sys/net", "rw"), bind("/sys/module", "/host/sys/module", "rw"),
			bind(filepath.Join(dir, "config"), "/etc/ctkeeper", "ro"),
		},
		"linux": object{"namespaces": namespaces, "readonlyPaths": []string{"/proc/sys"}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644)
}
