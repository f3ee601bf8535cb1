package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func give(text string, err error) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(text), err }
}

// read returns the files of an archive.
func read(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for in := tar.NewReader(zip); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil || header.Mode != 0o600 {
			t.Errorf("%s: mode %o, error %v", header.Name, header.Mode, err)
		}
		files[header.Name] = string(content)
	}
}

func TestWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		long := "files/etc/" + strings.Repeat("ü", 120) // the name of a file can have 255 bytes
		defer close(release)
		var archive bytes.Buffer
		entries, err := Write(t.Context(), &archive, "dir", time.Now(), []Part{
			{"a.txt", give("one\n", nil)},
			{"files/etc/b", give("", errors.New("permission denied"))},
			{long, give("", nil)},
			{"large", give(strings.Repeat("x", MaxPart+1), nil)},
			{"hangs", func(context.Context) ([]byte, error) { <-release; return nil, nil }},
		})
		if err != nil {
			t.Fatal(err)
		}
		large := "\n(incomplete: more than 2097152 bytes)\n"
		hangs := "\n(incomplete: no answer within 30s)\n"
		want := []Entry{
			{"a.txt", 4, ""}, {"files/etc/b", 33, "permission denied"}, {long, 0, ""},
			{"large", MaxPart + len(large), "more than 2097152 bytes"}, {"hangs", len(hangs), "no answer within 30s"},
		}
		if diff := cmp.Diff(want, entries); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		files := read(t, archive.Bytes())
		if files["dir/a.txt"] != "one\n" || files["dir/files/etc/b"] != "\n(incomplete: permission denied)\n" ||
			files["dir/hangs"] != hangs || len(files) != 5 {
			t.Errorf("files %.200q", files)
		}
	})
}

func TestWriteErrors(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	parts := []Part{{"a", give("x", nil)}}
	if _, err := Write(ended, io.Discard, "dir", time.Now(), parts); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	in, out := io.Pipe()
	_ = in.Close()
	if _, err := Write(t.Context(), out, "dir", time.Now(), parts); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("no reader: %v", err)
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"# password: hunter2 hunter3\nmax: 1\n":         "# password: (left out)\nmax: 1\n",
		"API_KEY = abc":                                 "API_KEY = (left out)",
		`{"token":"abc"}`:                               `{"token":(left out)`,
		" Environment=FOO=1 BAR=2\nUser=ctkeeper":       " Environment=(left out)\nUser=ctkeeper",
		"https://user:pw@proxy.example/x":               "https://(left out)@proxy.example/x",
		"Authorization: Bearer abc":                     "Authorization: (left out)",
		"pass_duration_seconds: 0.1":                    "pass_duration_seconds: 0.1",
		"one pass now: nothing differs; key: value":     "one pass now: nothing differs; key: value",
		"KeyringMode=private\nSetCredential=x:secret=1": "KeyringMode=private\nSetCredential=(left out)",
	} {
		if got := string(Redact([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestColumns(t *testing.T) {
	const modules = "nf_conntrack 200704 3 nf_nat,nft_ct, Live 0xffffffffc0a11000\nshort\n"
	if got := string(Columns([]byte(modules), 4)); got != "nf_conntrack 200704 3 nf_nat,nft_ct,\nshort\n" {
		t.Errorf("%q", got)
	}
}
