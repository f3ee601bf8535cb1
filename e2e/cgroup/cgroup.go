package cgroup

import (
	"os"
	"path/filepath"
	"time"
)

// Remove removes a control group with those below it, once the last process has left them.
func Remove(group string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := removeAll(group)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func removeAll(group string) error {
	entries, err := os.ReadDir(group)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeAll(filepath.Join(group, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(group)
}
