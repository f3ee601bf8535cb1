package daemon

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	exporter "github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/systemd"
)

const (
	// idleTimeout lets a Prometheus that scrapes once a minute keep its connection.
	idleTimeout = 75 * time.Second
	// headerTimeout and answerTimeout bound a client on the network.
	headerTimeout = 5 * time.Second
	answerTimeout = 10 * time.Second
	maxHeader     = 16 << 10
)

// errNoSockets means that metrics.listen: systemd has no socket to serve.
var errNoSockets = errors.New("systemd passed no socket " +
	"(is ctkeeper.socket there, and was it started before the service?)")

// serveMetrics serves over TCP what the status socket serves, where the configuration asks for
// it, until ctx ends. A failed listener is logged and retried; it never stops the daemon.
func (d *Daemon) serveMetrics(ctx context.Context) error {
	delay, logged := firstRestart, ""
	for ctx.Err() == nil {
		cfg, changed := d.configuration()
		began := time.Now()
		err := d.serveConfigured(ctx, cfg.Metrics)
		if err == nil {
			delay, logged = firstRestart, ""
			continue
		}
		if time.Since(began) > stableRun {
			delay = firstRestart
		}
		if err.Error() != logged {
			logged = err.Error()
			d.opts.Log.Warn("metrics listener failed, retrying", zap.Duration("after", delay), zap.Error(err))
		}
		sleep(ctx, delay, changed)
		delay = min(2*delay, maxRestart)
	}
	return ctx.Err()
}

// serveConfigured serves until ctx ends or the listener's configuration changes, and then returns nil.
// The error is why it cannot serve.
func (d *Daemon) serveConfigured(ctx context.Context, cfg config.Metrics) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tasks, ctx := errgroup.WithContext(ctx)
	if cfg.Listen != "" {
		webConfig := d.webConfig(cfg)
		if err := validate(webConfig); err != nil {
			return err
		}
		listeners, err := d.listeners(ctx, cfg.Listen)
		if err != nil {
			return err
		}
		for _, l := range listeners {
			tasks.Go(func() error { return d.serveTCP(ctx, l, webConfig) })
		}
	}
	tasks.Go(func() error {
		for ctx.Err() == nil {
			newest, changed := d.configuration()
			if newest.Metrics.Listen != cfg.Listen || newest.Metrics.WebConfig != cfg.WebConfig {
				stop()
			}
			sleep(ctx, 0, changed)
		}
		return nil
	})
	return tasks.Wait()
}

// webConfig returns the path of the file with TLS and passwords, "" without one.
func (d *Daemon) webConfig(cfg config.Metrics) string {
	if cfg.WebConfig == "" {
		return ""
	}
	return tree.At(d.opts.Source.Root).Real(cfg.WebConfig)
}

// validate checks a file with TLS and passwords; "" is valid.
func validate(webConfig string) error {
	if err := exporter.Validate(webConfig); err != nil {
		return fmt.Errorf("cannot use metrics.web_config %s: %w", webConfig, err)
	}
	return nil
}

// listeners opens the address, or returns the sockets that systemd opened.
func (d *Daemon) listeners(ctx context.Context, address string) ([]net.Listener, error) {
	if address != config.ListenSystemd {
		var listen net.ListenConfig
		l, err := listen.Listen(ctx, "tcp", address)
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			err = op.Err // without repeating the address
		}
		if err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
		}
		return []net.Listener{l}, nil
	}
	var all []net.Listener
	for _, file := range d.opts.Sockets {
		l, err := net.FileListener(file) // a copy: the socket itself is used again after a reload
		if err != nil {
			for _, l := range all {
				_ = l.Close() // nothing was served on it
			}
			return nil, fmt.Errorf("cannot listen on the socket %s from systemd: %w", file.Name(), err)
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, errNoSockets
	}
	return all, nil
}

// serveTCP serves on a listener until ctx ends. Each listener has a server of its own, because
// the toolkit changes the server that is passed to it.
func (d *Daemon) serveTCP(ctx context.Context, listener net.Listener, webConfig string) error {
	defer func() { _ = listener.Close() }() // open where the toolkit has not begun to serve
	server := &http.Server{
		Handler: d.handler(false), MaxHeaderBytes: maxHeader,
		ErrorLog:          log.New(&serverLog{log: d.opts.Log, webConfig: webConfig}, "", 0),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: answerTimeout, WriteTimeout: answerTimeout,
		IdleTimeout: idleTimeout,
	}
	address := listener.Addr().String()
	d.opts.Log.Info("serving metrics and status page",
		zap.String(systemd.KeyAddress, address), zap.String(systemd.KeyWebConfig, webConfig))
	err := serveUntil(ctx, server, func() error {
		flags := &exporter.FlagConfig{WebConfigFile: &webConfig}
		return exporter.Serve(netutil.LimitListener(listener, maxClients), server, flags, toolkitLog(d.opts.Log))
	})
	if err != nil {
		return fmt.Errorf("cannot serve on %s: %w", address, err)
	}
	return nil
}
