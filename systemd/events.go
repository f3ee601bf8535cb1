package systemd

// Event is the kind of a journal entry, logged under KeyEvent and shown as the
// journal field CTKEEPER_EVENT. A kind carries the fields that its catalog text
// names, because journalctl -x prints the bare field name where one is missing;
// each constant says which. Where the guard knows who did it, EventDrift,
// EventContested, EventFailed, EventModuleLoad, EventModuleUnload and
// EventRefusedWrite carry KeyByPID, KeyByComm and KeyByUnit as well, as far as they
// are known. See systemd.journal-fields(7).
type Event string

// The kinds of events.
const (
	// EventDrift is one setting found different from what is wanted. It carries
	// KeySetting, KeyWant, KeyFound, KeyResult and KeyCause.
	EventDrift Event = "drift"
	// EventContested is a setting that another writer keeps changing. It carries
	// KeySetting, KeyWant and KeyFound.
	EventContested Event = "contested"
	// EventSettled is a contested setting that has been left alone for a while.
	// It carries KeySetting, KeyWant and KeyFound.
	EventSettled Event = "settled"
	// EventModuleLoad is nf_conntrack seen loaded. It carries no field.
	EventModuleLoad Event = "module-load"
	// EventModuleUnload is nf_conntrack seen gone. It carries no field.
	EventModuleUnload Event = "module-unload"
	// EventConfigLoaded is a configuration that came into force. It carries no
	// field.
	EventConfigLoaded Event = "config-loaded"
	// EventConfigRefused is a configuration that was refused whole. It carries
	// KeyError.
	EventConfigRefused Event = "config-refused"
	// EventFailed is a value that the kernel refused. It carries KeySetting,
	// KeyWant, KeyFound and KeyError.
	EventFailed Event = "failed"
	// EventForbidden is a setting that ctkeeper may not write where it runs. It
	// carries KeySetting and KeyError.
	EventForbidden Event = "forbidden"
	// EventTablePressure is a table of the connection tracker that fills, drops
	// packets for want of room, or has room again. It carries KeyTable, KeyEntries
	// and KeyLimit.
	EventTablePressure Event = "table-pressure"
	// EventRefusedWrite is a foreign write that the guard refused. It carries
	// KeySetting and KeyWant, and KeyValue where that is known.
	EventRefusedWrite Event = "refused-write"
)

// Events gives every kind, in the order of the constants.
func Events() []Event {
	return []Event{
		EventDrift, EventContested, EventSettled,
		EventModuleLoad, EventModuleUnload,
		EventConfigLoaded, EventConfigRefused,
		EventFailed, EventForbidden,
		EventTablePressure, EventRefusedWrite,
	}
}

// MessageID gives the MESSAGE_ID of the kind as 32 hexadecimal digits, or "" for
// a kind that is not one of Events. The ids were drawn at random once and never
// change: they are what journalctl MESSAGE_ID= and the catalog find an entry by.
// See sd-id128(3).
func (e Event) MessageID() string {
	switch e {
	case EventDrift:
		return "a1ff4a1d209843e89e54b92fc7fb455b"
	case EventContested:
		return "4697dd7d71c2459ba93b925ee2e16aca"
	case EventSettled:
		return "b0251b01d7d3454287af4cf0ee2f4e98"
	case EventModuleLoad:
		return "d0138809f37345fd989c8bae7b7caa24"
	case EventModuleUnload:
		return "2deb3e8767a54ac6aa27277cfcafe119"
	case EventConfigLoaded:
		return "7a1adcfaa25f4fce98fb74ec03181238"
	case EventConfigRefused:
		return "5b9bcdd1459c4781a6d6df933242fa40"
	case EventFailed:
		return "904103f8201f47c195c76cbcb822b840"
	case EventForbidden:
		return "68196e3b8ac84229affa81c88b6e95f5"
	case EventTablePressure:
		return "abf0d5b8a5524319a6edd6f6843ba57b"
	case EventRefusedWrite:
		return "283913d62e594ba2bff150f7697dfbe7"
	}
	return ""
}
