package unixhttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	// headTimeout bounds how long a client may take to send its request.
	headTimeout = time.Second
	// writeTimeout is how long a client may take to read a document, or a part of one.
	writeTimeout = 5 * time.Second
	// endTimeout bounds how long open requests may take at the end.
	endTimeout = 500 * time.Millisecond
	// maxIgnored limits the bytes that are read, and ignored, after a request. A client that sends more has
	// its answer, but is taken for gone.
	maxIgnored = 64 << 10
	// acceptPause is waited where the process or the host has no more file descriptors.
	acceptPause = 100 * time.Millisecond
)

// Handler answers a GET request. The context ends when the client has gone, and with the server.
type Handler func(ctx context.Context, query url.Values, answer *Answer)

// Server serves requests, each on its own connection.
type Server struct {
	// Handlers has the handler of each path.
	Handlers map[string]Handler
	// MaxClients limits the connections that are served at one time; more wait.
	MaxClients int
	// Panicked is told of a handler that panics. That ends its connection alone.
	Panicked func(error)
}

// Serve serves until ctx ends, or the listener fails. It closes the listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	defer func() { _ = listener.Close() }()
	var clients errgroup.Group
	defer func() { _ = clients.Wait() }()
	clients.SetLimit(s.MaxClients)
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			clients.Go(func() error {
				s.serve(ctx, conn)
				return nil
			})
		case ctx.Err() != nil:
			return ctx.Err()
		case isShortage(err):
			time.Sleep(acceptPause)
		default:
			return err
		}
	}
}

// isShortage reports whether accept(2) failed because something is used up, which can pass.
func isShortage(err error) bool {
	for _, shortage := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		if errors.Is(err, shortage) {
			return true
		}
	}
	return false
}

// serve answers the one request of a connection, and closes it.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now().Add(endTimeout)) })()
	_ = conn.SetReadDeadline(time.Now().Add(headTimeout)) // fails only if the connection is closed
	in := bufio.NewReaderSize(conn, maxHead)
	r, err := readRequest(in)
	answer := newAnswer(ctx, conn, r)
	switch {
	case errors.Is(err, errTooLarge):
		answer.Fail(TooLarge, err.Error())
	case errors.Is(err, errMalformed):
		answer.Fail(BadRequest, err.Error())
	case err == nil:
		_ = conn.SetReadDeadline(time.Time{})
		ctx, gone := context.WithCancel(ctx)
		var reader sync.WaitGroup
		reader.Go(func() {
			defer gone()
			_, _ = in.Discard(maxIgnored) // ends when the client goes, or with the connection
		})
		s.handle(ctx, r, answer)
		_ = conn.Close()
		reader.Wait()
	}
}

func (s *Server) handle(ctx context.Context, r request, answer *Answer) {
	defer func() {
		if reason := recover(); reason != nil {
			s.Panicked(fmt.Errorf("%s: panic: %v\n%s", r.path, reason, debug.Stack()))
		}
	}()
	handler, known := s.Handlers[r.path]
	switch {
	case !known:
		answer.Fail(NotFound, "no such path")
	case r.method != "GET":
		answer.Fail(methodNotAllowed, "only GET is allowed")
	default:
		handler(ctx, r.query, answer)
	}
	answer.end() // not after a panic: a stream that has no end tells the client
}
