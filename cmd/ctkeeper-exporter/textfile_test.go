package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/metrics"
)

// With --textfile alone nothing is served; the file is written, and stays at the end.
func TestTextfileAlone(t *testing.T) {
	socket, stopDaemon := fakeDaemon(t)
	dir := t.TempDir()
	file := filepath.Join(dir, metrics.Textfile)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	e := &exporter{T: t}
	go func() { done <- execute(ctx, []string{"--textfile=" + dir, "--ctkeeper.socket=" + socket}, e) }()
	e.wait("the file", func() bool {
		text, _ := os.ReadFile(file)
		return strings.Contains(string(text), "\nctkeeper_up 1\n")
	})
	if conn, err := net.Dial("tcp", "127.0.0.1"+defaultAddress); err == nil {
		_ = conn.Close()
		t.Error("it listens, and nobody asked for it")
	}
	cancel()
	if got := <-done; got != 0 {
		t.Errorf("exit status %d", got)
	}
	stopDaemon()
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
}

// With an address as well it is served, too.
func TestTextfileAndServer(t *testing.T) {
	socket, _ := fakeDaemon(t)
	dir := t.TempDir()
	e := start(t, "--textfile="+dir, "--ctkeeper.socket="+socket)
	e.waitListening()
	e.wait("the file", func() bool { _, err := os.Stat(filepath.Join(dir, metrics.Textfile)); return err == nil })
}

// An error that comes back is logged once, a new one and its end as well.
func TestChanges(t *testing.T) {
	var log bytes.Buffer
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	text := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: noTime}))
	c := &changes{log: text, message: "fails", mended: "works"}
	for _, err := range []error{nil, errors.New("a"), errors.New("a"), errors.New("b"), nil, nil} {
		c.report(err)
	}
	const want = "level=WARN msg=fails err=a\nlevel=WARN msg=fails err=b\nlevel=INFO msg=works\n"
	if log.String() != want {
		t.Errorf("logged\n%s\nwant\n%s", log.String(), want)
	}
}
