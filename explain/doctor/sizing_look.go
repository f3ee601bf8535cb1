package doctor

import (
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// lookAtSettings reads the live value of every setting that this kernel has and this
// process may read, by its name in the catalogue.
func lookAtSettings(t tree.Tree) map[string]string {
	files := sysfs.NewReader(t.Root())
	defer func() { _ = files.Close() }() // opened for reading alone
	values := map[string]string{}
	for _, setting := range sysfs.Catalogue() {
		if value, err := files.Read(setting); err == nil {
			values[setting.Name] = value
		}
	}
	return values
}
