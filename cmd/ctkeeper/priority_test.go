package main

import (
	"os"
	"strconv"
	"testing"
)

func TestPriority(t *testing.T) {
	ctkeeper(t.Context(), "priority", strconv.Itoa(os.Getpid())).wants(t, 0, nil, nil)
	ctkeeper(t.Context(), "priority", "0").wants(t, 2, nil, []string{`"0" is not a process id`})
	ctkeeper(t.Context(), "priority", "999999999").wants(t, 1, nil, []string{"cannot list the threads"})
}
