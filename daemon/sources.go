package daemon

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// sources are the daemon's sources of events, and why those do not work that do not.
type sources struct {
	mu   sync.Mutex
	list []status.Source
}

func newSources() *sources {
	s := &sources{}
	for _, name := range []string{status.SourceModule, status.SourceSettings, status.SourceConfig} {
		s.list = append(s.list, status.Source{Name: name, OK: true, Since: time.Now()})
	}
	return s
}

// report records that a source works, or the error with which it failed. It logs what is new.
func (s *sources) report(log *logging.Logger, name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := status.Source{Name: name, OK: err == nil, Since: time.Now()}
	if err != nil {
		now.Error, now.Hint = err.Error(), watchHint(err)
	}
	i := slices.IndexFunc(s.list, func(other status.Source) bool { return other.Name == name })
	if i >= 0 {
		before := s.list[i]
		if before.OK == now.OK {
			now.Since = before.Since
		}
		s.list[i] = now
		if before.OK == now.OK && before.Error == now.Error {
			return
		}
	}
	source := logging.String(systemd.KeySource, name)
	if err == nil {
		log.Info("watcher works again", source)
		return
	}
	log.Warn("watcher failed, restarting it", source, logging.Error(err), optional(systemd.KeyHint, now.Hint))
}

func (s *sources) snapshot() []status.Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// watchHint returns what to do about the error of a watcher, or "" (inotify_init1(2), inotify_add_watch(2)).
// EMFILE may also be the limit of the process's descriptors, which the daemon is far below.
func watchHint(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "raise the sysctl fs.inotify.max_user_instances"
	case errors.Is(err, syscall.ENOSPC):
		return "raise the sysctl fs.inotify.max_user_watches"
	}
	return ""
}
