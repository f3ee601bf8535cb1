package term

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// A second call of Events continues after the last event; Points and Status pass on what they get.
func TestHostContinues(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "ctkeeper.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var requests []string
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == status.PathPoints {
			_, _ = w.Write([]byte(`{"at":1,"entries":2,"max":3,"dropped":4}` + "\n"))
			return
		}
		requests = append(requests, r.URL.Path+" since "+r.FormValue("since")+" follow "+r.FormValue("follow"))
		_, _ = w.Write([]byte(`{"at":"2026-03-01T10:00:01.5Z","event":"drift","message":"one"}` + "\n" +
			`{"at":"2026-03-01T10:00:02.5Z","event":"drift","message":"two"}` + "\n"))
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		_ = server.Close()
		<-served
	}()

	host := &Host{Daemon: status.NewClient(socket)}
	var events []string
	each := func(e reconcile.Event) error {
		events = append(events, e.Message)
		return nil
	}
	for range 2 {
		if err := host.Events(t.Context(), each); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"one", "two", "one", "two"}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	want := []string{"/v1/events since  follow true", "/v1/events since 2026-03-01T10:00:02.5Z follow true"}
	if diff := cmp.Diff(want, requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}

	points, err := host.Points(t.Context())
	if want := []table.Point{{At: 1, Entries: 2, Max: 3, Losses: table.Losses{Dropped: 4}}}; err != nil {
		t.Error(err)
	} else if diff := cmp.Diff(want, points); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}

	cannot := errors.New("cannot read")
	host.Read = func(context.Context) (status.Document, error) { return quiet(), cannot }
	if s, err := host.Status(t.Context()); !errors.Is(err, cannot) || s.Daemon.PID != 4711 {
		t.Errorf("status of pid %d, %v", s.Daemon.PID, err)
	}
}
