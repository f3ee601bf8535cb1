package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const countFile = "proc/sys/net/netfilter/nf_conntrack_count"

func TestWatchNeedsATerminal(t *testing.T) {
	tests := []struct{ args, want string }{
		{"status --watch", "ctkeeper: --watch needs a terminal; programs can use ctkeeper events --follow -o " +
			"json\n"},
		{"status -w -o json", "ctkeeper: --watch has no --output; programs can use ctkeeper events --follow -o " +
			"json\n"},
		{"status -w -o yaml", "ctkeeper: --watch has no --output; programs can use ctkeeper events --follow -o " +
			"json\n"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			args := append(strings.Fields(test.args), "--root", host(t, standing))
			ctkeeper(t.Context(), args...).wants(t, 2, nil, []string{test.want})
		})
	}
}

// binary builds the command, as it is run.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ctkeeper")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("cannot build the command: %v\n%s", err, out)
	}
	return path
}

// terminal is a pseudoterminal (pty(7)), and what was drawn on it.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	before unix.Termios
	wide   bool
	ended  chan struct{}

	mu    sync.Mutex
	drawn []byte
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		netns.Cannot(t, "this machine has no pseudoterminals: %v", err)
	}
	p := &terminal{t: t, master: os.NewFile(uintptr(fd), "/dev/ptmx"), ended: make(chan struct{})}
	t.Cleanup(func() { p.hangUp() })
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		p.slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		netns.Cannot(t, "this machine has no pseudoterminals: %v", err)
	}
	t.Cleanup(func() { _ = p.slave.Close() })
	p.before = p.modes()
	p.resize()
	go func() {
		defer close(p.ended)
		piece := make([]byte, 4096)
		for {
			n, err := p.master.Read(piece)
			p.mu.Lock()
			p.drawn = append(p.drawn, piece[:n]...)
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

// hangUp takes the terminal away, as the end of an ssh(1) session does.
func (p *terminal) hangUp() {
	if p.master.Close() == nil {
		<-p.ended
	}
}

func (p *terminal) modes() unix.Termios {
	modes, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return *modes
}

// resize makes the terminal a little wider or narrower.
func (p *terminal) resize() {
	size := unix.Winsize{Row: 24, Col: 100}
	if p.wide = !p.wide; p.wide {
		size.Col = 101
	}
	if err := unix.IoctlSetWinsize(int(p.slave.Fd()), unix.TIOCSWINSZ, &size); err != nil {
		p.t.Fatal(err)
	}
}

// run starts a command on the terminal, which is its controlling one.
func (p *terminal) run(path string, args ...string) *exec.Cmd {
	p.t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "TERM=vt100", "LC_ALL=C", "NO_COLOR=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// types presses keys.
func (p *terminal) types(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

func (p *terminal) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.drawn = nil }()
	return string(p.drawn)
}

// shows waits until the screen shows a text: after another size all of it is drawn
// anew. Blanks do not count, for the cursor may be moved over them.
func (p *terminal) shows(text string) {
	p.t.Helper()
	text = strings.ReplaceAll(text, " ", "")
	screen := ""
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		p.take()
		p.resize()
		time.Sleep(300 * time.Millisecond)
		if screen = ansi.Strip(p.take()); strings.Contains(strings.ReplaceAll(screen, " ", ""), text) {
			return
		}
	}
	p.t.Fatalf("the screen never shows %q:\n%s", text, screen)
}

// left fails the test where a command that has ended left anything behind.
func (p *terminal) left() {
	p.t.Helper()
	if diff := cmp.Diff(p.before, p.modes()); diff != "" {
		p.t.Errorf("modes of the terminal (-before +after):\n%s", diff)
	}
	end := ""
	for _, sequence := range []string{"\x1b[?1049l", "\x1b[?25h"} { // the alternate screen, the cursor
		eventually(p.t, "the screen is left as it was", func() bool {
			end += p.take()
			return strings.Contains(end, sequence)
		})
	}
}

// The command as it is run, on a terminal.
func TestWatch(t *testing.T) {
	path := binary(t)
	t.Run("beside a daemon", func(t *testing.T) { watchADaemon(t, path) })
	t.Run("ends", func(t *testing.T) { watchEnds(t, path) })
	t.Run("hang-up", func(t *testing.T) { watchHangsUp(t, path) })
	t.Run("nothing else asks the terminal", func(t *testing.T) { nothingAsks(t, path) })
}

func watchADaemon(t *testing.T, path string) {
	root := host(t, drifting)
	p := newTerminal(t)
	watch := p.run(path, "status", "--watch", "--root", root)
	p.shows("ctkeeper, not running; values are read from the kernel")
	p.shows("max 1048576 65536 drifted")
	if modes := p.modes(); modes.Lflag&unix.ICANON != 0 {
		t.Error("the terminal waits for whole lines")
	}

	stop := start(t, root)
	p.shows("mode enforce, pid")
	p.shows("All 3 settings are in effect")
	kerneltree.Put(t, root, countFile, "4321\n")
	p.shows("4321 of 1048576, <1 %")
	kerneltree.Set(t, root, "max", "1000")
	p.shows("max was 1000, wanted 1048576: repaired in")
	for _, step := range []struct{ keys, shows string }{
		{"?", "pause, and continue"},
		{"q/hash", "/hash_"},
		{"\r", "filter: hash"},
		{"\x1b", "/ filter"},
		{"p", "PAUSED since"},
		{"p", "p pause"},
	} {
		p.types(step.keys)
		p.shows(step.shows)
	}
	stop()
	p.shows("stopped at")
	start(t, root)
	p.shows("mode enforce, pid")

	p.take()
	p.types("q")
	if err := watch.Wait(); err != nil {
		t.Errorf("after q: %v", err)
	}
	p.left()
}

// However it ends, it ends well.
func watchEnds(t *testing.T, path string) {
	root := host(t, broken)
	tests := []struct {
		name, key string
		signal    syscall.Signal
	}{
		{"q", "q", 0},
		{"^C", "\x03", 0},
		{"SIGINT", "", syscall.SIGINT},
		{"SIGTERM", "", syscall.SIGTERM},
		{"SIGHUP", "", syscall.SIGHUP},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newTerminal(t)
			watch := p.run(path, "status", "--watch", "--root", root)
			p.shows("The configuration is refused:")
			p.take()
			if test.key != "" {
				p.types(test.key)
			} else if err := watch.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			if err := watch.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
			p.left()
		})
	}
}

func watchHangsUp(t *testing.T, path string) {
	p := newTerminal(t)
	watch := p.run(path, "status", "--watch", "--root", host(t, broken))
	p.shows("The configuration is refused:")
	p.hangUp()
	ended := make(chan error, 1)
	go func() { ended <- watch.Wait() }()
	select {
	case err := <-ended:
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() < 0 {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("it lives on without a terminal")
	}
}

// No other command says anything to a terminal that is not text: a terminal that
// does not answer would hold it up.
func nothingAsks(t *testing.T, path string) {
	p := newTerminal(t)
	if err := p.run(path, "version").Wait(); err != nil {
		t.Fatal(err)
	}
	said := ""
	eventually(t, "the version is there", func() bool {
		said += p.take()
		return strings.HasSuffix(said, "\n")
	})
	if strings.Contains(said, "\x1b") {
		t.Errorf("it said %q", said)
	}
}
