package config

import (
	"path/filepath"
	"slices"
)

// read is readFile, but for files of the draft.
func (l *loader) read(path string) (content, *fault) {
	data, drafted := l.draft[path]
	switch {
	case !drafted:
		return readFile(l.tree, path)
	case len(data) == 0:
		return content{masked: "empty file"}, nil
	}
	return content{data: data}, nil
}

// list is list, as it would be with the draft.
func (l *loader) list(dir string) ([]string, *fault) {
	names, wrong := list(l.tree, dir)
	for path, data := range l.draft {
		if filepath.Dir(path) != dir {
			continue
		}
		name := filepath.Base(path)
		names = slices.DeleteFunc(names, func(n string) bool { return n == name })
		if data != nil {
			names = append(names, name)
		}
	}
	return names, wrong
}
