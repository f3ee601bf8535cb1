// Package finding holds what doctor reports: a finding with its severity, its evidence and the
// commands that fix it, and the catalogue of all finding ids.
package finding
