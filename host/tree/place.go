package tree

import "strconv"

// Place is a line of a file, as the host in the tree sees it.
type Place struct {
	File string `json:"file"`
	// Line counts from 1; 0 means the file as a whole.
	Line int `json:"line,omitzero"`
}

// String returns "file:line", the form that editors and compilers use, or the file alone.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Trouble is a file that cannot be read, or a line that cannot be parsed. Readers continue after it, so that
// one bad file hides nothing else.
type Trouble struct {
	Place
	Err error
}

// Error returns the place and the cause.
func (t Trouble) Error() string { return t.Place.String() + ": " + t.Err.Error() }

// Unwrap returns the cause.
func (t Trouble) Unwrap() error { return t.Err }
