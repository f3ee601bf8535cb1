package rawio_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/rawio"
)

func open(t *testing.T, text string) (path string, fd int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return path, int(file.Fd())
}

func TestReadAndWrite(t *testing.T) {
	path, fd := open(t, "12345\n")
	buf := make([]byte, 64)
	for range 2 { // both times from the begin
		if n, errno := rawio.Read(fd, buf); errno != 0 || string(buf[:n]) != "12345\n" {
			t.Errorf("read %q, errno %d", buf[:n], errno)
		}
		if n, errno := rawio.Write(fd, []byte("12345\n")); errno != 0 || n != 6 {
			t.Errorf("wrote %d bytes, errno %d", n, errno)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "12345\n" {
		t.Errorf("the file has %q, error %v", text, err)
	}
	if _, errno := rawio.Read(-1, buf); errno != unix.EBADF {
		t.Errorf("errno %d for no descriptor, want EBADF", errno)
	}
}

func TestReadAll(t *testing.T) {
	text := strings.Repeat("0123456789", 1000)
	_, fd := open(t, text)
	buf := make([]byte, len(text)+1)
	for range 2 {
		if n, errno := rawio.ReadAll(fd, buf); errno != 0 || string(buf[:n]) != text {
			t.Errorf("read %d bytes, errno %d", n, errno)
		}
	}
	if n, errno := rawio.ReadAll(fd, buf[:7]); errno != 0 || string(buf[:n]) != text[:7] {
		t.Errorf("read %q into 7 bytes, errno %d", buf[:n], errno)
	}
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Close(pipe[0]), unix.Close(pipe[1]) }()
	if _, errno := rawio.ReadAll(pipe[0], buf); errno != unix.ESPIPE {
		t.Errorf("errno %d for a pipe, want ESPIPE", errno)
	}
}

func TestNext(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Close(pipe[0]), unix.Close(pipe[1]) }()
	buf := make([]byte, 8)
	if _, errno := rawio.Next(uintptr(pipe[0]), buf); errno != unix.EAGAIN {
		t.Errorf("errno %d for an empty pipe, want EAGAIN", errno)
	}
	if _, err := unix.Write(pipe[1], []byte("abc")); err != nil {
		t.Fatal(err)
	}
	if n, errno := rawio.Next(uintptr(pipe[0]), buf); errno != 0 || string(buf[:n]) != "abc" {
		t.Errorf("read %q, errno %d", buf[:n], errno)
	}
}
