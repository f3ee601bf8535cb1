package systemd

import (
	"maps"
	"slices"
)

// messageIDs has the MESSAGE_ID of each kind of event (reconcile.Kind), 32 hexadecimal digits. The ids were
// drawn at random once and never change: journalctl MESSAGE_ID= and the catalog find an entry by them. See
// sd-id128(3).
func messageIDs() map[string]string {
	return map[string]string{
		"drift":          "a1ff4a1d209843e89e54b92fc7fb455b",
		"contested":      "4697dd7d71c2459ba93b925ee2e16aca",
		"settled":        "b0251b01d7d3454287af4cf0ee2f4e98",
		"module-load":    "d0138809f37345fd989c8bae7b7caa24",
		"module-unload":  "2deb3e8767a54ac6aa27277cfcafe119",
		"config-loaded":  "7a1adcfaa25f4fce98fb74ec03181238",
		"config-refused": "5b9bcdd1459c4781a6d6df933242fa40",
		"failed":         "904103f8201f47c195c76cbcb822b840",
		"forbidden":      "68196e3b8ac84229affa81c88b6e95f5",
		"table-pressure": "abf0d5b8a5524319a6edd6f6843ba57b",
		"refused-write":  "283913d62e594ba2bff150f7697dfbe7",
		"absorbed-write": "59c7c95077da923c98fa458657494728",
	}
}

// Kinds returns the kinds of event that have a MESSAGE_ID, sorted. The kind is logged under KeyEvent and is
// the journal field CTKEEPER_EVENT. See systemd.journal-fields(7).
func Kinds() []string { return slices.Sorted(maps.Keys(messageIDs())) }

// MessageID returns the MESSAGE_ID of a kind of event, or "" if it has none.
func MessageID(kind string) string { return messageIDs()[kind] }
