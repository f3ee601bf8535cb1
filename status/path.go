package status

import (
	"os"
	"path/filepath"
	"strings"
)

// The HTTP paths of the status socket.
const (
	PathStatus = "/v1/status"
	PathEvents = "/v1/events"
	PathPoints = "/v1/points"
	PathCounts = "/v1/counts"
)

// SocketPath returns the path of the status socket: in the runtime directory that systemd
// sets (RUNTIME_DIRECTORY, systemd.exec(5)) if it is called ctkeeper, else in /run/ctkeeper
// below root.
func SocketPath(root string) string {
	return serviceFile(root, "RUNTIME_DIRECTORY", "/run/ctkeeper", "ctkeeper.sock")
}

// HistoryPath returns the path of the file that keeps the history over restarts: in the state
// directory that systemd sets (STATE_DIRECTORY, systemd.exec(5)) if it is called ctkeeper,
// else in /var/lib/ctkeeper below root.
func HistoryPath(root string) string {
	return serviceFile(root, "STATE_DIRECTORY", "/var/lib/ctkeeper", "events.jsonl")
}

func serviceFile(root, variable, directory, name string) string {
	if root == "" {
		for dir := range strings.SplitSeq(os.Getenv(variable), ":") {
			if filepath.Base(dir) == "ctkeeper" { // another unit that runs ctkeeper status has its own
				return filepath.Join(dir, name)
			}
		}
	}
	return filepath.Join(root, directory, name)
}
