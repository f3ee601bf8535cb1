package daemon

import (
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// BenchmarkQuietPass is a pass over every setting of the catalogue on the running
// kernel. It only looks: each want is "at least 0".
func BenchmarkQuietPass(b *testing.B) {
	files := sysfs.NewReader("")
	defer func() { _ = files.Close() }()
	d := &reconcile.Desired{Mode: reconcile.Observe}
	for _, s := range sysfs.Catalogue() {
		if _, err := files.Read(s); err == nil {
			d.Wants = append(d.Wants, sysfs.Want{Setting: s, Policy: sysfs.AtLeast, Value: sysfs.Number(0)})
		}
	}
	if len(d.Wants) == 0 {
		b.Skip("nf_conntrack is not loaded here")
	}
	keeper := reconcile.New(reconcile.Options{
		Kernel: newKernel("", files), Hooks: reconcile.EventFunc(func(reconcile.Event) {}),
	}, d)
	keeper.Pass(reconcile.Start, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		keeper.Pass(reconcile.Resync, time.Now())
	}
	b.ReportMetric(float64(len(d.Wants)), "settings")
}
