package kmod

import (
	"path/filepath"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxParameter, in bytes, is the largest page: a parameter's file holds one at most (param_attr_show).
const maxParameter = 1 << 16

// ParameterValue reads a parameter of a module in the kernel from /sys/module, without the end of line.
// The kernel shows a bool as Y or N (param_get_bool). The error is fs.ErrNotExist if the module does
// not have the parameter or has it without any permission.
func ParameterValue(t tree.Tree, module, name string) (string, error) {
	text, err := t.Read(filepath.Join("/sys/module", module, "parameters", name), maxParameter)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(text), "\n"), nil
}
