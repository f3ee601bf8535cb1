package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// ListenSystemd is the value of metrics.listen for the sockets that systemd passes
// (systemd.socket(5), sd_listen_fds(3)).
const ListenSystemd = "systemd"

// maxHost is the longest domain name, in bytes (RFC 1035, 2.3.4).
const maxHost = 253

// Metrics is the section metrics.
type Metrics struct {
	// Listen is host:port, :port for every address, or ListenSystemd; empty is off.
	Listen string
	// WebConfig is the path of a web configuration file of Prometheus' exporter-toolkit, for TLS
	// and basic authentication on Listen; empty for neither.
	WebConfig string
	// Textfile is the directory that node_exporter's textfile collector reads; empty is off.
	Textfile string
}

// metrics decodes the section metrics.
func (d *decoder) metrics(n *yaml.Node) {
	d.section(n, "metrics", func(k, v *yaml.Node) {
		switch k.Value {
		case "listen":
			d.layer.listen = read(d, v, keyMetricsListen, parseListen)
		case "web_config":
			d.layer.webConfig = read(d, v, keyMetricsWebConfig, parsePath)
		case "textfile":
			d.layer.textfile = read(d, v, keyMetricsTextfile, parsePath)
		default:
			d.failUnknown(k, "metrics", []string{"listen", "web_config", "textfile"})
		}
	})
}

// parseListen parses the address to serve on.
func parseListen(s scalar) (string, *fault) {
	if s.text == "" || s.text == ListenSystemd {
		return s.text, nil
	}
	wrong := newFault(quote(s.text)+" is not an address to listen on",
		`host:port, such as 127.0.0.1:9466; :port for every address; systemd; "" for off`)
	host, port, err := net.SplitHostPort(s.text)
	switch {
	case err != nil && isNumber(s.text):
		wrong.allowed = "write :" + s.text + " for every address, or 127.0.0.1:" + s.text
		return "", wrong
	case err != nil && strings.Count(s.text, ":") > 1 && !strings.ContainsAny(s.text, "[/"):
		wrong.allowed = "write an IPv6 address in brackets, such as [::1]:9466"
		return "", wrong
	case err != nil || !isHost(host, strings.HasPrefix(s.text, "[")):
		return "", wrong
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || !isNumber(port) {
		return "", newFault("port "+quote(port)+" is out of range", "1..65535")
	}
	return s.text, nil
}

func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// isHost reports whether host is empty, an address, or may be a name; in brackets it must be an
// IPv6 address.
func isHost(host string, brackets bool) bool {
	address, err := netip.ParseAddr(host)
	switch {
	case brackets:
		return err == nil && address.Is6()
	case err == nil || host == "":
		return true
	}
	name := strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-._")
	return name == "" && len(host) <= maxHost && !isNumber(strings.ReplaceAll(host, ".", ""))
}

// parsePath parses the path of a file or a directory, or nothing.
func parsePath(s scalar) (string, *fault) {
	switch {
	case s.text == "":
		return "", nil
	case strings.ContainsFunc(s.text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", newFault(quote(s.text)+" has control characters", "an absolute path")
	case !filepath.IsAbs(s.text):
		return "", newFault(quote(s.text)+" is not an absolute path", "one that begins with /")
	}
	return filepath.Clean(s.text), nil
}

// checkMetrics warns of a web configuration without an address.
func (r *resolver) checkMetrics() {
	if file := r.layer.webConfig; file.value != "" && r.layer.listen.value == "" {
		r.warn(file.at, "metrics.web_config has no effect without metrics.listen")
	}
}
