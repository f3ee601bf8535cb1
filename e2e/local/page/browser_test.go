// Package page_test shows the status page in a browser.
package page_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// browserTime is what a test in the browser may take, on a busy machine with the race detector.
const browserTime = 90 * time.Second

// chromium starts a browser, which ends with the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		netns.Cannot(t, "needs chromium, to show the page")
	}
	// /dev/shm is small in containers; as root Chromium has no sandbox.
	options := append(
		chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("headless", "new"),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.UserDataDir(t.TempDir()),
	)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	quiet := func(string, ...any) {} // an event that the library cannot decode is not one of those that the tests use
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(quiet))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("cannot start chromium: %v", err)
	}
	return ctx
}

// tab is a tab of the browser, and the messages of its console.
type tab struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	messages []string
}

func openTab(t *testing.T, browser context.Context, width, height int64) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, browserTime)
	t.Cleanup(cancel)
	b := &tab{T: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	b.run(chromedp.EmulateViewport(width, height))
	return b
}

func (b *tab) listen(event any) {
	var message string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		message = "exception: " + (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error()
	case *runtime.EventConsoleAPICalled:
		message = fmt.Sprintf("console.%s", e.Type)
	case *log.EventEntryAdded:
		message = fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *page.EventJavascriptDialogOpening:
		message = "dialog: " + e.Message
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, message)
}

// quiet fails the test if the browser reported anything: a script's error, a violation of the policy, a missing
// file, a dialog. A test that stops the server allows the messages about an unreachable server.
func (b *tab) quiet(allowed ...string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, message := range b.messages {
		for _, text := range allowed {
			if strings.Contains(message, text) {
				continue next
			}
		}
		b.Errorf("the browser reports: %s", message)
	}
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// value returns the result of an expression in the page.
func value[T any](b *tab, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.quiet()
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// open opens an address and waits until the page shows the first answer.
func (b *tab) open(url string) {
	b.Helper()
	b.run(chromedp.Navigate(url))
	b.until(`document.body.className === ""`)
}

// until waits until an expression is true in the page.
func (b *tab) until(expression string) {
	b.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(browserTime / 2); !value[bool](b, expression); {
		select {
		case <-tick.C:
		case <-limit:
			b.quiet()
			b.Fatalf("this never became true: %s\n%s", expression, b.text("body"))
		}
	}
}

// text returns the visible text of an element.
func (b *tab) text(selector string) string {
	b.Helper()
	return value[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText ?? '(nothing there)'", selector))
}

// rows returns the rows of a table, with " | " between the cells.
func (b *tab) rows(table string) []string {
	b.Helper()
	return value[[]string](b, fmt.Sprintf(
		`[...document.querySelectorAll("#%s tbody tr")].map((tr) =>
			[...tr.children].map((c) => c.innerText.replace(/\s+/g, " ").trim()).join(" | "))`,
		table,
	))
}

func (b *tab) holds(expression string) {
	b.Helper()
	if !value[bool](b, expression) {
		b.Errorf("%s is not true", expression)
	}
}

// prefers sets the preferred colour scheme, light or dark.
func (b *tab) prefers(scheme string) {
	b.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	media := emulation.SetEmulatedMediaParams{Features: features}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		b.Fatal(err)
	}
}

// picture writes a screenshot of the whole page for people to look at: go test -artifacts -outputdir DIR.
func (b *tab) picture(name string) {
	b.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.ArtifactDir(), name+".png"), png, 0o600); err != nil {
		b.Fatal(err)
	}
}

// serveAt serves a handler at an address of this machine, or at a free one for "". It returns the address and a
// function that stops the server.
func serveAt(t *testing.T, address string, handler http.Handler) (string, func()) {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	stop := sync.OnceFunc(func() {
		server.CloseClientConnections()
		server.Close()
	})
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}
