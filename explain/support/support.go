package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/host/pattern"
)

const (
	// PartTimeout is how long one part may take.
	PartTimeout = 30 * time.Second
	// MaxPart limits a part, in bytes; more of it is cut off.
	MaxPart = 2 << 20
)

// Part is one file of the archive.
type Part struct {
	Name string
	// Collect returns the content. What it returned before an error is kept.
	Collect func(context.Context) ([]byte, error)
}

// Entry describes a file that was written.
type Entry struct {
	Name string `json:"name"`
	Size int    `json:"size_bytes"`
	// Error is why the part is missing, or incomplete.
	Error string `json:"error,omitempty"`
}

// Write writes a tar archive, compressed by gzip, with the parts below a directory, and returns what it wrote. A part
// that fails is in it with its error. The error is that of w, or of the context.
func Write(ctx context.Context, w io.Writer, directory string, at time.Time, parts []Part) ([]Entry, error) {
	zip := gzip.NewWriter(w)
	archive := tar.NewWriter(zip)
	var entries []Entry
	for _, part := range parts {
		content, err := collect(ctx, part)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		entry := Entry{Name: part.Name}
		if err != nil {
			entry.Error = err.Error()
			content = append(content, "\n(incomplete: "+entry.Error+")\n"...)
		}
		content = Redact(content)
		entry.Size = len(content)
		header := &tar.Header{
			Name: directory + "/" + part.Name, Mode: 0o600, Size: int64(len(content)), ModTime: at,
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("cannot write the archive: %w", err)
		}
		if _, err := archive.Write(content); err != nil {
			return nil, fmt.Errorf("cannot write the archive: %w", err)
		}
		entries = append(entries, entry)
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return nil, fmt.Errorf("cannot write the archive: %w", err)
	}
	return entries, nil
}

// collect returns the content of a part, within its limits. A part that does not end is left behind.
func collect(ctx context.Context, part Part) ([]byte, error) {
	type result struct {
		content []byte
		err     error
	}
	ctx, cancel := context.WithTimeout(ctx, PartTimeout)
	defer cancel()
	done := make(chan result, 1)
	new(errgroup.Group).Go(func() error {
		content, err := part.Collect(ctx)
		done <- result{content, err}
		return nil
	})
	select {
	case got := <-done:
		if len(got.content) > MaxPart {
			return got.content[:MaxPart], errors.Join(got.err, fmt.Errorf("more than %d bytes", MaxPart))
		}
		return got.content, got.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer within %s", PartTimeout)
	}
}

// secret matches an assignment to a name that is that of a secret, and the value up to the end of the line.
var secret = pattern.New(`(?i)((?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|credentials?|` +
	`authorization|bearer)[\w"'-]*\s*[=:]\s*)[^\n]+`)

// environment matches what units pass to programs: variables often are secrets.
var environment = pattern.New(`^(\s*(?:Environment|PassEnvironment|SetCredential)\w*=).+`)

// userinfo matches user and password of an address.
var userinfo = pattern.New(`(\w+://)[^/\s@]+@`)

// Redact returns a text with "(left out)" in the place of what looks like a secret.
func Redact(text []byte) []byte {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.ContainsAny(line, "=:") { // all patterns need one of them
			line = secret.ReplaceAllString(line, "${1}(left out)")
			line = environment.ReplaceAllString(line, "${1}(left out)")
			line = userinfo.ReplaceAllString(line, "${1}(left out)@")
		}
		b.WriteString(line)
	}
	return []byte(b.String())
}

// Columns returns the first n columns of each line. The last one of /proc/modules has the kernel's addresses.
func Columns(text []byte, n int) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		b.Write(bytes.Join(fields[:min(n, len(fields))], []byte(" ")))
		b.WriteByte('\n')
	}
	return b.Bytes()
}
