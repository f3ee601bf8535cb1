package tree

import "strconv"

// Place is a line of a file, as the host in the tree sees it.
type Place struct {
	File string `json:"file"`
	// Line counts from 1; 0 means the file as a whole.
	Line int `json:"line,omitzero"`
}

// String is "file:line", the form that editors and compilers use.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Trouble is a file that cannot be read, or a line of it that cannot be
// understood. Reading goes on behind it: one bad file hides nothing else.
type Trouble struct {
	Place
	Err error
}

func (t Trouble) Error() string { return t.Place.String() + ": " + t.Err.Error() }

// Unwrap gives the cause to errors.Is and errors.As.
func (t Trouble) Unwrap() error { return t.Err }
