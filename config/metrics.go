package config

import "gopkg.in/yaml.v3"

// metrics refuses the keys of a section that ctkeeper no longer has, and names the flag of ctkeeper-exporter that took
// the place of each.
func (d *decoder) metrics(k, v *yaml.Node) {
	flags := map[string]string{
		"listen": "--web.listen-address=HOST:PORT", "web_config": "--web.config.file=FILE",
		"textfile": "--textfile=DIR",
	}
	v = deref(v)
	named := false
	for i := 0; v.Kind == yaml.MappingNode && i < len(v.Content); i += 2 {
		if key := v.Content[i]; flags[key.Value] != "" {
			d.fail(key, join("metrics", key.Value), movedMetrics(flags[key.Value]))
			named = true
		}
	}
	if !named {
		d.fail(k, k.Value, movedMetrics("its flags"))
	}
}

func movedMetrics(flag string) *fault {
	return newFault("ctkeeper-exporter serves the metrics now", "remove this, write "+flag+
		" into ARGS of /etc/default/ctkeeper-exporter, and: systemctl enable --now ctkeeper-exporter")
}
