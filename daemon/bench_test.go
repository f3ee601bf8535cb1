package daemon

import (
	"fmt"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// BenchmarkQuietPass is a pass over settings of the catalogue on the running kernel, by number
// of them. It only looks: each want is "at least 0".
func BenchmarkQuietPass(b *testing.B) {
	files := sysfs.NewReader(tree.Tree{})
	defer func() { _ = files.Close() }()
	var wants []sysfs.Want
	for _, s := range sysfs.Catalogue() {
		if _, err := files.Read(s); err == nil {
			wants = append(wants, sysfs.Want{Setting: s, Policy: sysfs.AtLeast, Value: sysfs.Number(0)})
		}
	}
	if len(wants) == 0 {
		b.Skip("nf_conntrack is not loaded here")
	}
	for _, n := range []int{1, 10, 20, len(wants)} {
		b.Run(fmt.Sprintf("settings=%d", n), func(b *testing.B) {
			keeper := reconcile.New(reconcile.Options{
				Kernel: newKernel(tree.Tree{}, files), Hooks: reconcile.EventFunc(func(reconcile.Event) {}),
			}, &reconcile.Desired{Mode: reconcile.Observe, Wants: wants[:n]})
			keeper.Pass(reconcile.Start, time.Now())
			b.ReportAllocs()
			for b.Loop() {
				keeper.Pass(reconcile.Resync, time.Now())
			}
		})
	}
}
