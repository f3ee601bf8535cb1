package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/metrics"
	"github.com/ctkeeper/ctkeeper/status"
)

const (
	// maxClients bounds the connections of a listener at one time; more wait.
	maxClients = 128
	// maxIdle is how many connections may be open for one of them to wait for its next request: the others are for
	// those who ask now.
	maxIdle = maxClients / 2
	// idleTimeout lets a Prometheus that scrapes once a minute keep its connection.
	idleTimeout = 75 * time.Second
	// headerTimeout and answerTimeout bound a client on the network.
	headerTimeout = 5 * time.Second
	answerTimeout = 10 * time.Second
	maxHeader     = 16 << 10
	// shutdownTimeout bounds how long open requests may take at the end.
	shutdownTimeout = 500 * time.Millisecond
)

// errNoSockets means that systemd passed no socket that listens.
var errNoSockets = errors.New("systemd passed no listening socket " +
	"(is there a socket unit, and was it started before the service?)")

// run serves, and writes the textfile, until ctx ends, and then returns nil.
func run(ctx context.Context, opts options, log *slog.Logger) error {
	client := status.NewClient(opts.socket)
	answered := &changes{log: log, message: "the daemon does not answer", mended: "the daemon answers"}
	m := metrics.New(client, answered.report)
	tasks, ctx := errgroup.WithContext(ctx)
	if opts.needsServer() {
		if err := web.Validate(*opts.web.WebConfigFile); err != nil {
			return fmt.Errorf("cannot use --web.config.file: %w", err)
		}
		listeners, err := listen(ctx, opts.web)
		if err != nil {
			return err
		}
		handler := handler(opts.telemetryPath, m.Handler(), client)
		for _, l := range listeners {
			tasks.Go(func() error { return serve(ctx, l, handler, opts.web, log) })
		}
	}
	if opts.textfile != "" {
		tasks.Go(func() error { return writeTextfile(ctx, m, opts.textfile, log) })
	}
	if err := notifyReady(); err != nil {
		log.Warn("cannot tell systemd that the exporter is ready", "err", err)
	}
	if err := tasks.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// listen opens the addresses, or returns the sockets that systemd opened.
func listen(ctx context.Context, flags *web.FlagConfig) ([]net.Listener, error) {
	if *flags.WebSystemdSocket {
		listeners, err := activation.Listeners()
		if len(listeners) == 0 || slices.Contains(listeners, nil) {
			return nil, errors.Join(errNoSockets, err)
		}
		return listeners, nil
	}
	var listeners []net.Listener
	for _, address := range *flags.WebListenAddresses {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			for _, l := range listeners {
				_ = l.Close() // nothing was served on it
			}
			return nil, fmt.Errorf("cannot listen: %w", err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// serve serves on a listener until ctx ends. Each listener has a server of its own, because the toolkit changes the
// server that is passed to it.
func serve(ctx context.Context, l net.Listener, h http.Handler, flags *web.FlagConfig, log *slog.Logger) error {
	server := &http.Server{
		Handler: h, MaxHeaderBytes: maxHeader, ReadHeaderTimeout: headerTimeout, ReadTimeout: answerTimeout,
		WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		// Anybody on the network can cause these.
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   closeIdle(maxIdle),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		late, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if server.Shutdown(late) != nil {
			_ = server.Close() // clients that still read have had their time
		}
	})
	err := web.Serve(netutil.LimitListener(l, maxClients), server, flags, log)
	if stop() {
		_ = server.Close()
		return fmt.Errorf("cannot serve on %s: %w", l.Addr(), err)
	}
	<-stopped
	return ctx.Err()
}

// closeIdle returns a function that closes a connection without a request where more than limit are open.
func closeIdle(limit int64) func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		case http.StateIdle:
			if open.Load() > limit {
				_ = conn.Close() // it has had its answer
			}
		}
	}
}
