package status

// Counts is what a daemon has counted since its start; /v1/counts serves it. Metrics are made from it, and from the
// Document.
type Counts struct {
	API API `json:"api"`
	// Drifts has setting, cause and by; Repairs setting and result; RefusedWrites and AbsorbedWrites setting
	// and by.
	Drifts         []Count `json:"drifts"`
	Repairs        []Count `json:"repairs"`
	RefusedWrites  []Count `json:"refused_writes"`
	AbsorbedWrites []Count `json:"absorbed_writes"`
	// Passes are those that a source woke; a pass may have several.
	Passes map[string]int64 `json:"passes"`
	// Overflows are the overruns of an event queue, by source.
	Overflows map[string]int64 `json:"overflows"`
	// KernelMessages is Table.KernelMessages.
	KernelMessages map[string]int64 `json:"kernel_messages,omitzero"`
	// RepairDuration has the time of each repair from its event to the value read back, PassDuration of each pass.
	RepairDuration Histogram `json:"repair_duration_seconds"`
	PassDuration   Histogram `json:"pass_duration_seconds"`
}

// Count is how often something with these labels happened.
type Count struct {
	Labels
	Count int64 `json:"count"`
}

// Labels are the labels of a Count. Those that do not apply are empty.
type Labels struct {
	Setting string `json:"setting"`
	Cause   string `json:"cause,omitempty"`
	Result  string `json:"result,omitempty"`
	// By is the writer's unit, or container/COMMAND.
	By string `json:"by,omitempty"`
}

// Histogram counts durations in seconds, as Prometheus' histograms do.
type Histogram struct {
	// Buckets are in the order of their bounds. Each includes those before it.
	Buckets []Bucket `json:"buckets"`
	Count   int64    `json:"count"`
	Sum     float64  `json:"sum"`
}

// Bucket counts the values up to a bound.
type Bucket struct {
	UpTo  float64 `json:"up_to"`
	Count int64   `json:"count"`
}
