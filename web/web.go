package web

import (
	"net/http"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/table"
)

// Source is what the page shows.
type Source struct {
	// Status is the document of ctkeeper status -o json.
	Status func() any
	// Events gives the events after a moment, oldest first.
	Events func(since time.Time) []reconcile.Event
	// Points gives the table's points after a moment, oldest first.
	Points func(since time.Time) []table.Point
}

// Handler serves the page at / and its data at /v1/page?since=RFC3339 as JSON.
func Handler(source Source) http.Handler { return http.NotFoundHandler() }
