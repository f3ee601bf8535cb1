package config

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "5d": 120 * time.Hour, "1d12h": 36 * time.Hour,
		"-5s": -5 * time.Second, "0s": 0, "0.5h": 30 * time.Minute, "65535d": 65535 * 24 * time.Hour,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "+5s", "d", "1.5d", "65536d", "1d0", "1d-2h", "1d+2h", "1d.5h", "1dd", "-1d", "65535d2562047h", "5w",
		".5h", "1.h", "1h.5m", "-.5h", "5",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %s, want an error", text, got)
		}
	}
}

func TestShortDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "5s": 5 * time.Second, "1h": time.Hour, "1h30m": 90 * time.Minute, "24h": 24 * time.Hour,
		"1h0m5s": time.Hour + 5*time.Second, "10m": 10 * time.Minute,
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("shortDuration(%d) = %q, want %q", d, got, want)
		}
	}
}
