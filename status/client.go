package status

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/ctkeeper/ctkeeper/host/unixhttp"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	// answerTimeout bounds the whole of an answer.
	answerTimeout = 5 * time.Second
	// The limits of an answer, in bytes. A document of 256 settings has some 100 KiB. An event has up to
	// three texts of 8 KiB, of which JSON may escape each byte.
	maxDocument = 4 << 20
	maxLine     = 256 << 10
	// maxLines limits an answer that ends, in lines: the daemon keeps 1024 events and 4320 points.
	maxLines = 8192
)

// Client reads from a running daemon's status socket. It asks only a daemon that runs as root, as the
// caller, or as the user of ctkeeper.service: others could make a socket where the daemon's is expected.
// What it reads is bounded in size and time.
type Client struct{ http unixhttp.Client }

// NewClient returns a client of the daemon at the socket.
func NewClient(socket string) *Client {
	return &Client{unixhttp.Client{
		Socket: socket, AnswerTimeout: answerTimeout,
		Check: func(conn *net.UnixConn) error { return checkPeer(conn, socket) },
	}}
}

// Status returns the daemon's document. A daemon that does not answer within five seconds is
// an error. The document of an older daemon has no conditions of tables, no problems and no headline: they are added,
// as far as one look shows them.
func (c *Client) Status(ctx context.Context) (d Document, err error) {
	if err = c.document(ctx, PathStatus, &d); err == nil && d.Table.Conditions == nil {
		d.Table.Conditions = table.NewMonitor(1).State(table.Sample{Figures: d.Table.Figures}).Conditions
		d.Judge()
	}
	return d, err
}

// Counts returns what the daemon has counted, within the time of Status.
func (c *Client) Counts(ctx context.Context) (counts Counts, err error) {
	return counts, c.document(ctx, PathCounts, &counts)
}

func (c *Client) document(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body, err := c.get(ctx, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	data, err := io.ReadAll(io.LimitReader(body, maxDocument+1))
	switch {
	case err != nil:
	case len(data) > maxDocument:
		err = fmt.Errorf("it has more than %d bytes", maxDocument)
	default:
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("cannot read the daemon's answer: %w", err)
	}
	return nil
}

// NotRunning is what every view says where no daemon runs.
const NotRunning = "ctkeeper is not running, nothing is repaired"

// IsNotRunning reports whether an error of a Client means that no daemon runs: there is no socket, or
// nothing listens on it any more.
func IsNotRunning(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// Events calls each for every event after since. With follow it then waits for new events,
// until ctx ends or the daemon stops.
func (c *Client) Events(ctx context.Context, since time.Time, follow bool, each func(reconcile.Event) error) error {
	return lines(ctx, c, PathEvents, since, follow, each)
}

// Points returns the points of the table after since, oldest first.
func (c *Client) Points(ctx context.Context, since time.Time) (points []table.Point, err error) {
	err = lines(ctx, c, PathPoints, since, false, func(p table.Point) error {
		points = append(points, p)
		return nil
	})
	return points, err
}

// lines calls each for every line of an answer, as Events does.
func lines[T any](ctx context.Context, c *Client, path string, since time.Time, follow bool, each func(T) error) error {
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
	body, err := c.get(ctx, path, query)
	if caller.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	in := bufio.NewReaderSize(body, maxLine)
	for count := 0; follow || count < maxLines; count++ {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0, caller.Err() != nil:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the daemon went away")
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("cannot read the daemon's answer: a line has more than %d bytes", maxLine)
		}
		var item T
		if err == nil {
			err = json.Unmarshal(line, &item)
		}
		if err != nil {
			return fmt.Errorf("cannot read the daemon's answer: %w", err)
		}
		if err := each(item); err != nil {
			return err
		}
	}
	return fmt.Errorf("cannot read the daemon's answer: it has more than %d lines", maxLines)
}

func (c *Client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	response, err := c.http.Get(ctx, path+"?"+query.Encode())
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("cannot ask the daemon: %w; root and the group ctkeeper may ask it", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot ask the daemon: %w", err)
	}
	if response.Code != 200 {
		defer func() { _ = response.Body.Close() }()
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return nil, fmt.Errorf("cannot ask the daemon: %s: %s", response.Status, strings.TrimSpace(string(reason)))
	}
	return response.Body, nil
}
