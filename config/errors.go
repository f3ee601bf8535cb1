package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Error is one error in the configuration, with its place.
type Error struct {
	// File is the path to open, with the root directory; empty where it is all files together.
	File string `json:"file"`
	// Line and Column begin at 1. They are 0 where the whole file is wrong.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Key is the dotted key, such as settings.max; empty where there is none.
	Key string `json:"key"`
	// Problem is what is wrong. Allowed is what would be right, or empty.
	Problem string `json:"problem"`
	Allowed string `json:"allowed"`
	// Err is the system error that caused it, or nil.
	Err error `json:"-"`
}

// Error is "file:line:column: key: what is wrong (what is allowed)", safe for a terminal.
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		b.WriteString(":" + strconv.Itoa(e.Line))
		if e.Column > 0 {
			b.WriteString(":" + strconv.Itoa(e.Column))
		}
	}
	if e.File != "" {
		b.WriteString(": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Problem)
	if e.Allowed != "" {
		b.WriteString(" (" + e.Allowed + ")")
	}
	return printable.Line(b.String())
}

// Unwrap returns the system error, for errors.Is.
func (e Error) Unwrap() error { return e.Err }

// Errors are the errors of a configuration, in the order of the files and their lines. They are
// limited in number: the last one of a file, and the last one of all, may say how many are left out.
// An Errors that is returned as an error is not empty.
type Errors []Error

// Error is one line for each error.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors one by one, for errors.Is and errors.As.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// orNil returns es as an error, and nil where it is empty.
func (es Errors) orNil() error {
	if len(es) == 0 {
		return nil
	}
	return es
}

// MayPass reports whether a load failed because the system could not read, now, what may be a valid configuration:
// a file did not answer, its file system is away, or memory or file descriptors are used up.
func MayPass(err error) bool {
	return slices.ContainsFunc([]error{
		ErrHangs, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EIO, syscall.ESTALE,
		syscall.ETIMEDOUT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENOTCONN, syscall.EAGAIN, syscall.EINTR,
	}, func(passing error) bool { return errors.Is(err, passing) })
}

// position is a place in a file.
type position struct {
	file         string // as the host has it
	open         string // the path to open, with the root
	line, column int
}

// origin returns the position as a Config has it.
func (p position) origin() tree.Place { return tree.Place{File: p.file, Line: p.line} }

// fault is an Error without its place.
type fault struct {
	problem, allowed string
	err              error
}

// newFault returns a fault without a system error.
func newFault(problem, allowed string) *fault { return &fault{problem: problem, allowed: allowed} }

func (f *fault) at(p position, key string) Error {
	return Error{
		File: p.open, Line: p.line, Column: p.column, Key: key,
		Problem: f.problem, Allowed: f.allowed, Err: f.err,
	}
}
