package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// Apply makes one pass over the system below root, without a daemon, and tells
// where everything stands. It loads nf_conntrack first where the configuration
// asks for it.
func Apply(ctx context.Context, root string, cfg *config.Config, log *zap.Logger) Status {
	if cfg.Module.Load && kmod.Look(root, kmod.Conntrack).State == kmod.Absent {
		if err := kmod.Load(ctx, root, kmod.Conntrack); err != nil {
			log.Error("cannot load the module, its settings stay pending", zap.String(systemd.KeyModule, kmod.Conntrack), zap.Error(err))
		}
	}
	files := sysfs.NewFiles(root)
	defer func() { _ = files.Close() }() // every write has its own error
	keeper := reconcile.New(KeeperOptions(root, files, logged{log}), Desired(cfg))
	keeper.Pass(reconcile.Start, time.Now())
	status := statusOf(root, keeper.Report(), cfg)
	status.Table = LookAtTable(root)
	return status
}
