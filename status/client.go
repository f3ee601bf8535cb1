package status

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

const (
	// dialTimeout bounds connecting to the socket, answerTimeout the whole of an answer.
	dialTimeout   = time.Second
	answerTimeout = 5 * time.Second
)

// Client reads from a running daemon's status socket.
type Client struct{ http http.Client }

// NewClient returns a client of the daemon at the socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTimeout}
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{http: http.Client{Transport: &http.Transport{
		DialContext: dial, DisableKeepAlives: true, ResponseHeaderTimeout: answerTimeout,
	}}}
}

// Status returns the daemon's document. A daemon that does not answer within five seconds is
// an error.
func (c *Client) Status(ctx context.Context) (Document, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var d Document
	body, err := c.get(ctx, PathStatus, nil)
	if err != nil {
		return d, err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(body).Decode(&d); err != nil {
		return d, fmt.Errorf("cannot read the daemon's answer: %w", err)
	}
	return d, nil
}

// Events calls each for every event after since. With follow it then waits for new events,
// until ctx ends or the daemon stops.
func (c *Client) Events(ctx context.Context, since time.Time, follow bool, each func(reconcile.Event) error) error {
	query, caller := url.Values{}, ctx
	if !since.IsZero() {
		query.Set("since", since.Format(time.RFC3339Nano))
	}
	if follow {
		query.Set("follow", "true")
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTimeout)
		defer cancel()
	}
	body, err := c.get(ctx, PathEvents, query)
	if caller.Err() != nil {
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
		case errors.Is(err, io.EOF), caller.Err() != nil:
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
		err = wrapped.Err // without the URL, which has a made-up host
	}
	if err != nil {
		return nil, fmt.Errorf("cannot ask the daemon: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		defer func() { _ = response.Body.Close() }()
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return nil, fmt.Errorf("cannot ask the daemon: %s: %s", response.Status, strings.TrimSpace(string(reason)))
	}
	return response.Body, nil
}
