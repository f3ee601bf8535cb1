package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// watching runs a Watcher over root.
type watching struct {
	t       *testing.T
	root    string
	changes chan struct{}
}

func watch(t *testing.T, root string, src Source) *watching {
	t.Helper()
	src.Root = root
	w, err := NewWatcher(src)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	changes := make(chan struct{}, 100)
	var group errgroup.Group
	group.Go(func() error { return w.Run(ctx, func() { changes <- struct{}{} }) })
	t.Cleanup(func() {
		stop()
		if err := group.Wait(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return &watching{t: t, root: root, changes: changes}
}

// expect runs do and waits for the report, and then until there is no other: on a slow machine
// one burst may be reported as two.
func (w *watching) expect(what string, do func(root string) error) {
	w.t.Helper()
	if err := do(w.root); err != nil {
		w.t.Fatal(err)
	}
	for timeout := 10 * time.Second; ; timeout = 3 * debounce {
		select {
		case <-w.changes:
			continue
		case <-time.After(timeout):
		}
		if timeout > maxBurst {
			w.t.Fatalf("%s: not reported", what)
		}
		return
	}
}

// expectNone runs do and fails the test if it is reported.
func (w *watching) expectNone(what string, do func(root string) error) {
	w.t.Helper()
	if err := do(w.root); err != nil {
		w.t.Fatal(err)
	}
	select {
	case <-w.changes:
		w.t.Errorf("%s: reported", what)
	case <-time.After(4 * debounce):
	}
}

func write(path, content string) func(string) error {
	return func(root string) error {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(root, path), []byte(content), 0o644)
	}
}

func remove(path string) func(string) error {
	return func(root string) error { return os.RemoveAll(filepath.Join(root, path)) }
}

func rename(from, to string) func(string) error {
	return func(root string) error { return os.Rename(filepath.Join(root, from), filepath.Join(root, to)) }
}

func symlink(target, path string) func(string) error {
	return func(root string) error { return os.Symlink(target, filepath.Join(root, path)) }
}

func all(steps ...func(string) error) func(string) error {
	return func(root string) error {
		for _, step := range steps {
			if err := step(root); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestWatchWrites(t *testing.T) {
	t.Parallel()
	w := watch(t, host(t, map[string]string{
		DefaultMain: "a", etcDir + "a.yaml": "a", "/srv/b.yaml": "b", etcDir + "b.yaml": "-> /srv/b.yaml",
	}), Source{})
	w.expect("a write to the main file", write(DefaultMain, "b"))
	const swap = "/etc/ctkeeper/.ctkeeper.yaml.swp"
	w.expect("an editor's save", all(write(swap, "c"), rename(swap, DefaultMain)))
	w.expect("a write after the save", write(DefaultMain, "d"))
	w.expect("a save with a backup", all(rename(DefaultMain, DefaultMain+"~"), write(DefaultMain, "e")))
	w.expect("a write to a drop-in", write(etcDir+"a.yaml", "b"))
	w.expect("a new drop-in", write(etcDir+"c.yaml", "c"))
	w.expect("a removed drop-in", remove(etcDir+"c.yaml"))
	w.expect("a mask", all(remove(etcDir+"a.yaml"), symlink("/dev/null", etcDir+"a.yaml")))
	w.expect("a write to a link's target", write("/srv/b.yaml", "c"))
	w.expect("another mode", func(root string) error { return os.Chmod(filepath.Join(root, DefaultMain), 0o600) })
	w.expect("a removed main file", remove(DefaultMain))
}

func TestWatchDirectoriesThatComeAndGo(t *testing.T) {
	t.Parallel()
	w := watch(t, host(t, map[string]string{"/etc/passwd": ""}), Source{})
	w.expect("all of /etc/ctkeeper", write(etcDir+"a.yaml", "a"))
	w.expect("a write in it", write(etcDir+"a.yaml", "b"))
	w.expect("/run/ctkeeper, and the /run it is in", write(runDir+"a.yaml", "a"))
	w.expect("conf.d away", remove(etcDir))
	w.expect("conf.d back", write(etcDir+"a.yaml", "c"))
	w.expect("a write in the new one", write(etcDir+"a.yaml", "d"))
	w.expect("the whole directory moved away", rename("/etc/ctkeeper", "/etc/ctkeeper.old"))
	w.expectNone("a write to where it was moved", write("/etc/ctkeeper.old/conf.d/a.yaml", "e"))
	w.expect("another in its place", all(write("/etc/new/conf.d/b.yaml", "a"), rename("/etc/new", "/etc/ctkeeper")))
	w.expect("a write in that", write(etcDir+"b.yaml", "b"))
	w.expect("everything away", remove("/etc"))
	w.expect("everything back", write(etcDir+"a.yaml", "a"))
}

// TestWatchConfigMap does what the kubelet does: files are links to ..data, which is a link to a
// directory with a time in its name, and is swapped by a rename.
func TestWatchConfigMap(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{
		"main file": "/etc/ctkeeper", "drop-ins": "/etc/ctkeeper/conf.d", "another main file": "/config",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := host(t, map[string]string{
				dir + "/..2026_1/ctkeeper.yaml": "settings: {max: 1}",
				dir + "/..data":                 "-> ..2026_1",
				dir + "/ctkeeper.yaml":          "-> ..data/ctkeeper.yaml",
			})
			src := Source{}
			if dir == "/config" {
				src.Main = dir + "/ctkeeper.yaml"
			}
			w := watch(t, root, src)
			for i := 2; i < 5; i++ {
				old, now := fmt.Sprintf("/..2026_%d", i-1), fmt.Sprintf("..2026_%d", i)
				w.expect("swap", all(
					write(dir+"/"+now+"/ctkeeper.yaml", fmt.Sprintf("settings: {max: %d}", i)),
					symlink(now, dir+"/..data_tmp"), rename(dir+"/..data_tmp", dir+"/..data"), remove(dir+old)))
				src.Root = root
				c, err := src.Load()
				if err != nil {
					t.Fatal(err)
				}
				if got, _ := c.Want("max"); got.Value != sysfs.Number(int64(i)) {
					t.Errorf("after swap %d max is %s", i, got.Value)
				}
			}
		})
	}
}

func TestWatchIgnoresOtherFiles(t *testing.T) {
	t.Parallel()
	w := watch(t, host(t, map[string]string{
		DefaultMain: "a", runDir + "a.yaml": "a", usrDir + "b.yaml": "-> /dev/null", "/dev/null": "",
	}), Source{})
	for _, path := range []string{
		"/etc/hosts", "/etc/ctkeeper/ctkeeper.yaml~", "/etc/ctkeeper/.ctkeeper.yaml.swp",
		"/etc/ctkeeper/notes/a.yaml", runDir + ".a.yaml.swp", "/run/ctkeeper/ctkeeper.sock", "/run/other.pid",
		"/usr/lib/libc.so", "/usr/lib/ctkeeper/catalog", "/dev/null",
	} {
		w.expectNone(path, all(write(path, "x"), remove(path)))
	}
	other := watch(t, host(t, map[string]string{"/other.yaml": "a"}), Source{Main: "/other.yaml"})
	other.expectNone("a drop-in beside another main file", write(etcDir+"a.yaml", "a"))
	other.expect("that main file", write("/other.yaml", "b"))
}

// TestWatchSleepsThroughForeignWrites looks at what the kernel queues while files grow beside the
// configuration: each event would wake the daemon.
func TestWatchSleepsThroughForeignWrites(t *testing.T) {
	t.Parallel()
	root := host(t, map[string]string{
		DefaultMain: "a", "/etc/ctkeeper/foreign.log": "", etcDir + "a.yaml": "a", etcDir + "foreign.log": "",
	})
	w, err := NewWatcher(Source{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, path := range []string{"/etc/ctkeeper/foreign.log", etcDir + "foreign.log"} {
		log, err := os.OpenFile(filepath.Join(root, path), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if _, err := log.WriteString("a line\n"); err != nil {
				t.Fatal(err)
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if events, err := w.set.queue.Read(time.Now().Add(debounce)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("1000 lines in each of two foreign files: %v, %v, want no event", events, err)
	}
	if err := write(etcDir+"a.yaml", "b")(root); err != nil {
		t.Fatal(err)
	}
	if events, err := w.set.queue.Read(time.Time{}); err != nil || len(events) == 0 {
		t.Errorf("a write to a drop-in: %v, %v, want events", events, err)
	}
}

func TestWatchMergesBursts(t *testing.T) {
	t.Parallel()
	w := watch(t, host(t, map[string]string{DefaultMain: "a"}), Source{})
	for i := range 50 {
		if err := write(fmt.Sprintf("%s%d.yaml", etcDir, i), "a")(w.root); err != nil {
			t.Fatal(err)
		}
	}
	for begin := time.Now(); len(w.changes) == 0; time.Sleep(debounce) {
		if time.Since(begin) > 10*maxBurst {
			t.Fatal("50 new drop-ins are not reported")
		}
	}
	time.Sleep(5 * debounce)
	if n := len(w.changes); n > 5 {
		t.Errorf("50 new drop-ins are reported %d times", n)
	}
	for len(w.changes) > 0 {
		<-w.changes
	}
	for begin := time.Now(); len(w.changes) == 0; {
		if time.Since(begin) > 10*maxBurst {
			t.Fatal("an endless burst is not reported")
		}
		if err := write(DefaultMain, "b")(w.root); err != nil {
			t.Fatal(err)
		}
		time.Sleep(debounce / 10)
	}
}

// TestWatchWaitsForContent: a shell empties a file before it starts the program that writes it.
func TestWatchWaitsForContent(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, DefaultMain)
	if err := write(DefaultMain, "settings: {max: 1}\n")(root); err != nil {
		t.Fatal(err)
	}
	w := watch(t, root, Source{})
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	emptied := time.Now()
	time.Sleep(3 * debounce)
	reported := len(w.changes)
	if waited := time.Since(emptied); reported > 0 && waited < maxBurst {
		t.Errorf("the empty file was reported within %s", waited)
	}
	w.expect("content", write(DefaultMain, "settings: {max: 2}\n"))
	w.expect("a file that stays empty", func(string) error { return os.Truncate(file, 0) })
}

func TestWatcherEnds(t *testing.T) {
	t.Parallel()
	w, err := NewWatcher(Source{Root: host(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	group.Go(func() error { return w.Run(context.Background(), func() {}) })
	for range 2 {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := group.Wait(); err != nil {
		t.Errorf("Run after Close: %v", err)
	}
}

// TestWatchTheRunningSystem watches the real paths, which a test must not change: setting the
// watches and ending them works.
func TestWatchTheRunningSystem(t *testing.T) {
	t.Parallel()
	w, err := NewWatcher(Source{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := w.Run(ctx, func() {}); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// Directories that are only passed through are not watched: / and /etc change often for other
// reasons, and each change would wake the daemon.
func TestWatchPlanOmitsBusyDirectories(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"etc/ctkeeper/conf.d", "run/ctkeeper", "usr/lib/ctkeeper"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	paths := Source{Root: root}.watchPlan().paths
	for _, busy := range []string{"", "etc", "run", "usr", "usr/lib"} {
		if slices.Contains(paths, filepath.Join(root, busy)) {
			t.Errorf("/%s is watched, among %q", busy, paths)
		}
	}
	for _, ours := range []string{"etc/ctkeeper", "etc/ctkeeper/conf.d", "run/ctkeeper", "usr/lib/ctkeeper"} {
		if !slices.Contains(paths, filepath.Join(root, ours)) {
			t.Errorf("/%s is not watched, among %q", ours, paths)
		}
	}
}

func TestChangedSince(t *testing.T) {
	root := t.TempDir()
	if err := write(DefaultMain, "settings: {max: 5}\n")(root); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // more than the step of a change time
	loaded := time.Now()
	for name, change := range map[string]func(string) error{
		"a file":    write(DefaultMain, "settings: {max: 6}\n"),
		"a drop-in": write("etc/ctkeeper/conf.d/a.yaml", "settings: {max: 6}\n"),
	} {
		w, err := NewWatcher(Source{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		if w.ChangedSince(loaded) {
			t.Errorf("before the change of %s: it has changed", name)
		}
		time.Sleep(50 * time.Millisecond)
		if err := change(root); err != nil {
			t.Fatal(err)
		}
		if !w.ChangedSince(loaded) {
			t.Errorf("after the change of %s: nothing has changed", name)
		}
		time.Sleep(50 * time.Millisecond)
		loaded = time.Now()
		_ = w.Close()
	}
}
