package config

import "testing"

func TestListen(t *testing.T) {
	for _, address := range []string{
		"", "systemd", ":9466", "127.0.0.1:1", "0.0.0.0:65535", "[::]:9466", "[fe80::1%eth0]:9466", "localhost:9466",
		"host-1.example.org:9466",
	} {
		if got, wrong := parseListen(scalar{text: address}); wrong != nil || got != address {
			t.Errorf("%q is refused: %+v", address, wrong)
		}
	}
}

func TestMetrics(t *testing.T) {
	const settings = "settings: {max: 5}\n"
	c := load(t, host(t, map[string]string{DefaultMain: settings +
		"metrics:\n  listen: :9466\n  web_config: /etc/ctkeeper/web.yaml\n  textfile: /var/lib//node/\n"}))
	want := Metrics{Listen: ":9466", WebConfig: "/etc/ctkeeper/web.yaml", Textfile: "/var/lib/node"}
	diff(t, "metrics", want, c.Metrics)
	diff(t, "warnings", []string(nil), c.Warnings)
	c = load(t, host(t, map[string]string{DefaultMain: settings + "metrics: {web_config: /etc/ctkeeper/web.yaml}\n"}))
	diff(t, "warnings", []string{
		DefaultMain + ":2: metrics.web_config has no effect without metrics.listen",
	}, c.Warnings)
}
