package main

import (
	"os"
	"strconv"
	"testing"
)

func TestSlice(t *testing.T) {
	ctkeeper(t.Context(), "slice", strconv.Itoa(os.Getpid())).wants(t, 0, nil, nil)
	ctkeeper(t.Context(), "slice", "0").wants(t, 2, nil, []string{`"0" is not a process id`})
	ctkeeper(t.Context(), "slice", "999999999").wants(t, 1, nil, []string{"cannot list the threads"})
}
