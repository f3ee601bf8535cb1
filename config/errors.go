package config

import (
	"strconv"
	"strings"
)

// Error is one thing wrong with the configuration, and where.
type Error struct {
	// File is the path to open to repair it: below the root directory, the root
	// directory included.
	File string `json:"file"`
	// Line and Column begin at 1; 0 where the trouble is with the whole file.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Key is the dotted key, as settings.max; empty where there is none.
	Key string `json:"key"`
	// Problem says what is wrong, Allowed what would be right; Allowed may be
	// empty.
	Problem string `json:"problem"`
	Allowed string `json:"allowed"`
	// Err is the cause where the system gave one.
	Err error `json:"-"`
}

// Error is "file:line:column: key: what is wrong (what is allowed)".
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		b.WriteString(":" + strconv.Itoa(e.Line))
		if e.Column > 0 {
			b.WriteString(":" + strconv.Itoa(e.Column))
		}
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Problem)
	if e.Allowed != "" {
		b.WriteString(" (" + e.Allowed + ")")
	}
	return b.String()
}

// Unwrap gives the cause, for errors.Is.
func (e Error) Unwrap() error { return e.Err }

// Errors is everything wrong with a configuration, in the order of the files and
// their lines. It is never empty as an error.
type Errors []Error

// Error is one line for each error.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the errors one by one, for errors.Is and errors.As.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// orNil is the error to return: nil when nothing is wrong.
func (es Errors) orNil() error {
	if len(es) == 0 {
		return nil
	}
	return es
}
