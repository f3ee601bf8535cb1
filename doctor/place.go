package doctor

import (
	"context"

	"github.com/ctkeeper/ctkeeper/tree"
)

// lookAtPlace tells where ctkeeper stands on this host.
func lookAtPlace(ctx context.Context, t tree.Tree, opts Options) Place { return Place{} }
