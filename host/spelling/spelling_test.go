package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"table", "json", "yaml", "status", "hashsize", "tcp_timeout_established"}
	tests := map[string]string{
		"tabel":                      "table", // two letters exchanged
		"tabl":                       "table",
		"JSON":                       "json",
		"yml":                        "yaml",
		"staus":                      "status",
		"sattus":                     "status",
		"hashsiez":                   "hashsize",
		"hash_size":                  "hashsize",
		"tcp_timeout_estabilshd":     "tcp_timeout_established",
		"xml":                        "",
		"":                           "",
		"nosuch":                     "",
		strings.Repeat("status", 11): "",
	}
	for word, want := range tests {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) is %q, want %q", word, got, want)
		}
	}
}
