package kmod

import (
	"path/filepath"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxParameter is what a parameter's file may hold: a page (param_attr_show).
const maxParameter = 1 << 16

// ParameterValue is the value of a parameter of a module that is in the kernel, from
// /sys/module, without the end of line. The kernel shows a bool as Y or N
// (param_get_bool), and a parameter without any permission not at all: that is
// fs.ErrNotExist, as is one that it does not have.
func ParameterValue(t tree.Tree, module, name string) (string, error) {
	text, err := t.Read(filepath.Join("/sys/module", module, "parameters", name), maxParameter)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(text), "\n"), nil
}
