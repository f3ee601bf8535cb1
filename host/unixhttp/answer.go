package unixhttp

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"
)

// Status is a status code with its reason (RFC 9110, section 15).
type Status string

// The statuses of an answer.
const (
	ok               Status = "200 OK"
	BadRequest       Status = "400 Bad Request"
	NotFound         Status = "404 Not Found"
	methodNotAllowed Status = "405 Method Not Allowed"
	TooLarge         Status = "431 Request Header Fields Too Large"
	InternalError    Status = "500 Internal Server Error"
)

// Answer is the answer to one request: a document, a stream, or a failure. Errors of writing mean that the
// client has gone, or does not read.
type Answer struct {
	out     *bufio.Writer
	request request
	// chunked is true for a stream to a client that knows chunks (RFC 9112, section 7.1).
	chunked bool
}

func newAnswer(ctx context.Context, conn net.Conn, r request) *Answer {
	return &Answer{out: bufio.NewWriter(patience{ctx, conn}), request: r}
}

// patience writes to a client that has writeTimeout, or endTimeout at the end of the server.
type patience struct {
	ctx  context.Context
	conn net.Conn
}

func (p patience) Write(text []byte) (int, error) {
	_ = p.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if p.ctx.Err() != nil { // looked at last: where it ends after this, Server.serve sets the deadline
		_ = p.conn.SetWriteDeadline(time.Now().Add(endTimeout))
	}
	return p.conn.Write(text)
}

// begin writes the head.
func (a *Answer) begin(status Status, contentType, fields string) {
	_, _ = fmt.Fprintf(a.out, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: %s\r\n"+
		"X-Content-Type-Options: nosniff\r\n%s\r\n", status, contentType, fields)
}

// Document answers with a document.
func (a *Answer) Document(contentType string, body []byte) {
	a.begin(ok, contentType, fmt.Sprintf("Content-Length: %d\r\n", len(body)))
	_, _ = a.out.Write(body)
}

// Fail answers with a failure, and why.
func (a *Answer) Fail(status Status, reason string) {
	fields := fmt.Sprintf("Content-Length: %d\r\n", len(reason)+1)
	if status == methodNotAllowed {
		fields += "Allow: GET\r\n"
	}
	a.begin(status, "text/plain; charset=utf-8", fields)
	if a.request.method != "HEAD" { // its answer has no body (RFC 9110, section 9.3.2)
		_, _ = a.out.WriteString(reason + "\n")
	}
	_ = a.out.Flush()
}

// Stream begins an answer of a length that is not known, which Write and Flush continue.
func (a *Answer) Stream(contentType string) {
	fields := ""
	if a.chunked = !a.request.isOld; a.chunked {
		fields = "Transfer-Encoding: chunked\r\n"
	}
	a.begin(ok, contentType, fields)
}

// Write adds a part, which is not empty, to a stream.
func (a *Answer) Write(part []byte) (int, error) {
	if a.chunked {
		_, _ = fmt.Fprintf(a.out, "%x\r\n", len(part))
	}
	n, err := a.out.Write(part)
	if a.chunked {
		_, err = a.out.WriteString("\r\n") // an error of a bufio.Writer stays
	}
	return n, err
}

// Flush sends what was written.
func (a *Answer) Flush() error { return a.out.Flush() }

// end ends the answer.
func (a *Answer) end() {
	if a.chunked {
		_, _ = a.out.WriteString("0\r\n\r\n")
	}
	_ = a.out.Flush()
}
