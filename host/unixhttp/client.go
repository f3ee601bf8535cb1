package unixhttp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

// dialTimeout bounds connecting.
const dialTimeout = time.Second

// Client asks a server on a unix socket.
type Client struct {
	Socket string
	// Check looks at a connection before anything is sent.
	Check func(*net.UnixConn) error
	// AnswerTimeout bounds the time to the end of the answer's head.
	AnswerTimeout time.Duration
}

// Response is an answer. Its Body is to be closed. A body that ends too early ends with io.ErrUnexpectedEOF.
type Response struct {
	Code int
	// Status is the code with its reason.
	Status string
	Body   io.ReadCloser
}

// Get asks for a path with its query. The end of ctx ends the reading of the body, too.
func (c *Client) Get(ctx context.Context, target string) (*Response, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil, err
	}
	b := newBody(ctx, conn)
	response, err := c.ask(conn.(*net.UnixConn), b, target)
	if err != nil {
		return nil, errors.Join(b.cause(err), b.Close())
	}
	return response, nil
}

func (c *Client) ask(conn *net.UnixConn, b *body, target string) (*Response, error) {
	if err := c.Check(conn); err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(c.AnswerTimeout)); err != nil {
		return nil, err
	}
	const fields = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, "GET "+target+fields); err != nil {
		return nil, err
	}
	code, status, h, err := readStatus(b.in)
	if err != nil {
		return nil, err
	}
	if err := b.measure(h); err != nil {
		return nil, err
	}
	return &Response{code, status, b}, conn.SetDeadline(time.Time{})
}

// form is how the end of a body is known (RFC 9112, section 6.3).
type form int

const (
	untilClosed form = iota
	measured
	chunked
)

// body is the body of an answer.
type body struct {
	ctx  context.Context
	conn io.ReadCloser
	stop func() bool
	in   *bufio.Reader
	form form
	// left is what is left of the body, or of the chunk.
	left int64
}

func newBody(ctx context.Context, conn io.ReadCloser) *body {
	b := &body{ctx: ctx, conn: conn, in: bufio.NewReaderSize(conn, maxHead), left: math.MaxInt64}
	b.stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return b
}

// measure finds how the body ends.
func (b *body) measure(h head) error {
	length, hasLength := h.fields["content-length"]
	coding, hasCoding := h.fields["transfer-encoding"]
	switch {
	case hasCoding && strings.EqualFold(coding, "chunked"):
		b.form, b.left = chunked, 0
	case hasCoding:
		return errMalformed
	case hasLength:
		n, err := strconv.ParseUint(length, 10, 63)
		if err != nil {
			return errMalformed
		}
		b.form, b.left = measured, int64(n)
	}
	return nil
}

// Read reads the body.
func (b *body) Read(into []byte) (n int, err error) {
	if b.form == chunked && b.left == 0 {
		err = b.nextChunk()
	}
	if err == nil && b.left == 0 {
		return 0, io.EOF
	}
	if err == nil {
		n, err = b.in.Read(into[:min(int64(len(into)), b.left)])
		b.left -= int64(n)
	}
	if errors.Is(err, io.EOF) && b.form != untilClosed {
		err = io.ErrUnexpectedEOF
	}
	if b.form == chunked && err == nil && b.left == 0 {
		err = b.endChunk()
	}
	return n, b.cause(err)
}

// nextChunk reads the size of the next chunk. The last one has none, and may be followed by fields, which are
// ignored.
func (b *body) nextChunk() error {
	line, err := b.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return errMalformed
	}
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), ";")
	n, err := strconv.ParseUint(strings.TrimRight(size, " \t"), 16, 63)
	if err != nil {
		return errMalformed
	}
	if b.left = int64(n); n == 0 {
		b.form = measured
	}
	return nil
}

// endChunk reads the end of line after a chunk.
func (b *body) endChunk() error {
	var end [2]byte
	if _, err := io.ReadFull(b.in, end[:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	if string(end[:]) != "\r\n" {
		return errMalformed
	}
	return nil
}

// cause returns the error, or that of the context, whose end closes the connection.
func (b *body) cause(err error) error {
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		return b.ctx.Err()
	}
	return err
}

// Close ends the reading.
func (b *body) Close() error {
	if !b.stop() {
		return nil // closed by the end of the context
	}
	return b.conn.Close()
}
