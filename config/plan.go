package config

import (
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// plan is what to watch for a Source, as its tree is at the moment. All paths
// are real ones, the root included, without symbolic links below it.
type plan struct {
	// paths are the directories and files to watch, a directory before those
	// below it.
	paths []string
	// names are the entries that matter: directory and name, joined.
	names map[string]bool
	// dropins are the directories in which every drop-in matters.
	dropins map[string]bool
	// watched has the paths again, to look up.
	watched map[string]bool
}

// plan walks to every candidate file of s.
func (s Source) plan() *plan {
	p := &plan{names: map[string]bool{}, dropins: map[string]bool{}, watched: map[string]bool{}}
	t := tree.At(s.Root)
	p.walk(t, s.main())
	if !s.dropins() {
		return p
	}
	for _, dir := range dropinDirs() {
		real := t.Real(p.walk(t, dir))
		p.dropins[real] = true
		p.watch(real)
		names, _ := list(t, dir) // what cannot be listed is Load's to report
		for _, name := range names {
			if isDropin(name) {
				p.walk(t, filepath.Join(dir, name))
			}
		}
	}
	return p
}

// walk notes the look-ups on the way to path that may come to another end, and the
// file at the end of it: a file that is bind-mounted changes without a word to the
// directory it is in. Directories that are only passed through, / and /etc among
// them, are not watched, for they have a life of their own: a directory that is
// watched tells itself when it goes. It returns the end within the tree.
func (p *plan) walk(t tree.Tree, path string) string {
	end, steps, _ := t.Resolve(path) // a loop of links may be cut anywhere on it
	for i, step := range steps {
		if step.Dir == filepath.Dir(devNull) {
			continue // whoever writes to /dev/null is no concern of ours
		}
		info, err := os.Lstat(filepath.Join(t.Real(step.Dir), step.Name))
		if err == nil && info.IsDir() && i < len(steps)-1 {
			continue
		}
		dir := t.Real(step.Dir)
		p.watch(dir)
		p.names[filepath.Join(dir, step.Name)] = true
	}
	if info, err := os.Lstat(t.Real(end)); err == nil && info.Mode().IsRegular() && end != devNull {
		p.watch(t.Real(end))
	}
	return end
}

func (p *plan) watch(path string) {
	if !p.watched[path] {
		p.watched[path] = true
		p.paths = append(p.paths, path)
	}
}

// concerns reports whether an event may mean another configuration.
func (p *plan) concerns(event fsnotify.Event) bool {
	if p.names[event.Name] {
		return true
	}
	dir, name := filepath.Split(event.Name)
	if p.dropins[filepath.Clean(dir)] && isDropin(name) {
		return true
	}
	// A watched path itself, gone or moved: what is there now is not watched.
	return p.watched[event.Name] && event.Has(fsnotify.Remove|fsnotify.Rename)
}
