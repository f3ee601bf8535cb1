package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
)

// answerTime is what the daemon has to tell its status: a resize of the hash table
// holds it up for some tens of milliseconds.
const answerTime = 5 * time.Second

// Client asks a running daemon over its status socket.
type Client struct{ http http.Client }

// NewClient gives a client of the daemon at the socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTime}
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{http: http.Client{Transport: &http.Transport{
		DialContext: dial, DisableKeepAlives: true, ResponseHeaderTimeout: answerTime,
	}}}
}

// Status asks for the daemon's status. A daemon that does not answer within
// answerTime is an error.
func (c *Client) Status(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var s Status
	body, err := c.get(ctx, "/v1/status", nil)
	if err != nil {
		return s, err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		return s, fmt.Errorf("cannot read the daemon's answer: %w", err)
	}
	return s, nil
}

// Events calls each for every event after since and, when follow is true, for
// those to come until ctx ends or the daemon does.
func (c *Client) Events(ctx context.Context, since time.Time, follow bool, each func(reconcile.Event) error) error {
	query, asked := url.Values{}, ctx
	if !since.IsZero() {
		query.Set("since", since.Format(time.RFC3339Nano))
	}
	if follow {
		query.Set("follow", "true")
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTime)
		defer cancel()
	}
	body, err := c.get(ctx, "/v1/events", query)
	if asked.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	in := json.NewDecoder(body)
	for {
		var e reconcile.Event
		err := in.Decode(&e)
		switch {
		case errors.Is(err, io.EOF), asked.Err() != nil:
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the daemon went away")
		case err != nil:
			return fmt.Errorf("cannot read the daemon's events: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

func (c *Client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ctkeeper"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the daemon: %w", err)
	}
	response, err := c.http.Do(request)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, which is nobody's business
	}
	if err != nil {
		return nil, fmt.Errorf("cannot ask the daemon: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		defer func() { _ = response.Body.Close() }()
		said, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return nil, fmt.Errorf("cannot ask the daemon: %s: %s", response.Status, strings.TrimSpace(string(said)))
	}
	return response.Body, nil
}
