package kmod

import "testing"

func TestIsBefore(t *testing.T) {
	for _, tt := range []struct {
		release       string
		before, known bool
	}{
		{"4.18.0-553.el8_10.x86_64", true, true},
		{"4.19.0-27-amd64", false, true},
		{"3.10.0-1160.el7.x86_64", true, true},
		{"2.6.32-042stab145.3", true, true},
		{"10.1", false, true},
		{"5", false, false},
		{"", false, false},
	} {
		if before, known := IsBefore(tt.release, 4, 19); before != tt.before || known != tt.known {
			t.Errorf("%q: %v, %v", tt.release, before, known)
		}
	}
}
