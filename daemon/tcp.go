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
	// idleTime lets a Prometheus that scrapes once a minute keep its connection.
	idleTime = 75 * time.Second
	// answerLimit is what a client on the network gets to read its answer.
	answerLimit = 10 * time.Second
	maxHeader   = 16 << 10
)

// errNoSockets says why metrics.listen: systemd has nothing to serve on.
var errNoSockets = errors.New("systemd gave no socket (is ctkeeper.socket there, and was it started before the service?)")

// serveMetrics serves what the status socket does over TCP, where the configuration says,
// until ctx ends. What fails is said and tried again: it takes nothing along but itself.
func (d *Daemon) serveMetrics(ctx context.Context) error {
	delay, said := firstRestart, ""
	for ctx.Err() == nil {
		wanted := d.configuration().Metrics
		wanted.Textfile = "" // no concern of ours
		began := time.Now()
		err := d.serveOn(ctx, wanted)
		if err == nil {
			delay, said = firstRestart, ""
			continue
		}
		if time.Since(began) > goodRun {
			delay = firstRestart
		}
		if err.Error() != said {
			said = err.Error()
			d.opts.Log.Warn("metrics and status page are not served over TCP, trying again", zap.Duration("after", delay), zap.Error(err))
		}
		d.configuredIn(ctx, delay)
		delay = min(2*delay, maxRestart)
	}
	return ctx.Err()
}

// configuredIn waits for a configuration to be read, at most so long.
func (d *Daemon) configuredIn(ctx context.Context, most time.Duration) {
	select {
	case <-ctx.Done():
	case <-d.configured:
	case <-time.After(most):
	}
}

// serveOn serves as wanted, until ctx ends or something else is wanted: nil. The error is why
// it cannot, or can no longer.
func (d *Daemon) serveOn(ctx context.Context, wanted config.Metrics) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	tasks, ctx := errgroup.WithContext(ctx)
	if wanted.Listen != "" {
		webConfig := d.webConfig(wanted)
		if err := usable(webConfig); err != nil {
			return err
		}
		listeners, err := d.listeners(ctx, wanted.Listen)
		if err != nil {
			return err
		}
		for _, l := range listeners {
			tasks.Go(func() error { return d.serveTCP(ctx, l, webConfig) })
		}
	}
	tasks.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-d.configured:
			}
			now := d.configuration().Metrics
			if now.Listen != wanted.Listen || now.WebConfig != wanted.WebConfig {
				stop()
			}
		}
	})
	return tasks.Wait()
}

// webConfig is where the file with TLS and passwords is, "" without one.
func (d *Daemon) webConfig(wanted config.Metrics) string {
	if wanted.WebConfig == "" {
		return ""
	}
	return tree.At(d.opts.Source.Root).Real(wanted.WebConfig)
}

// usable reports what is wrong with a file of TLS and passwords; nothing is with none.
func usable(webConfig string) error {
	if err := exporter.Validate(webConfig); err != nil {
		return fmt.Errorf("cannot use metrics.web_config %s: %w", webConfig, err)
	}
	return nil
}

// listeners opens the address, or takes the sockets that systemd opened.
func (d *Daemon) listeners(ctx context.Context, address string) ([]net.Listener, error) {
	if address != config.ListenSystemd {
		var listen net.ListenConfig
		l, err := listen.Listen(ctx, "tcp", address)
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			err = op.Err // without the address once more
		}
		if err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
		}
		return []net.Listener{l}, nil
	}
	var all []net.Listener
	for _, file := range d.opts.Sockets {
		l, err := net.FileListener(file) // a copy: the socket itself is for the next time
		if err != nil {
			for _, l := range all {
				_ = l.Close() // nobody was served
			}
			return nil, fmt.Errorf("cannot listen on the socket %s of systemd: %w", file.Name(), err)
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, errNoSockets
	}
	return all, nil
}

// serveTCP serves on a listener until ctx ends. Each listener has a server of its own: the
// toolkit changes the server that it is given.
func (d *Daemon) serveTCP(ctx context.Context, listener net.Listener, webConfig string) error {
	errorLog := log.New(&serverLog{log: d.opts.Log, webConfig: webConfig}, "", 0)
	server := &http.Server{
		Handler: d.handler(false), MaxHeaderBytes: maxHeader, ErrorLog: errorLog,
		ReadHeaderTimeout: dialTime * 5, ReadTimeout: answerLimit, WriteTimeout: answerLimit, IdleTimeout: idleTime,
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		late, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		if server.Shutdown(late) != nil {
			_ = server.Close() // whoever still reads has had its time
		}
	})
	address := listener.Addr().String()
	d.opts.Log.Info("serving metrics and status page", zap.String(systemd.KeyAddress, address), zap.String(systemd.KeyWebConfig, webConfig))
	err := exporter.Serve(netutil.LimitListener(listener, maxClients), server, &exporter.FlagConfig{WebConfigFile: &webConfig}, toolkitLog(d.opts.Log))
	if stop() {
		_ = server.Close()
		_ = listener.Close() // where the toolkit did not come to serve
		return fmt.Errorf("cannot serve on %s: %w", address, err)
	}
	<-stopped
	_ = listener.Close()
	return nil
}
