package main

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// makePrograms writes a directory of programs whose content is their name and architecture.
func makePrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, architecture := range architectures {
		if err := os.Mkdir(filepath.Join(dir, architecture), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, program := range programs {
			for _, file := range []string{program, program + ".cdx.json"} {
				content := []byte(file + " " + architecture)
				if err := os.WriteFile(filepath.Join(dir, architecture, file), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return dir
}

// build runs the command, and returns the layout.
func build(t *testing.T, dir string) layout.Path {
	t.Helper()
	flags := []string{"-version", "1.2.3", "-revision", "abc", "-created", "1767225600", "-programs", makePrograms(t)}
	if err := run(append(flags, dir)); err != nil {
		t.Fatal(err)
	}
	path, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// readIndex returns the one index of a layout.
func readIndex(t *testing.T, path layout.Path) v1.ImageIndex {
	t.Helper()
	top, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := top.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("the layout has %d entries; crane push wants one", len(manifest.Manifests))
	}
	index, err := top.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// readImages returns the images of an index by platform, without the SBOMs.
func readImages(t *testing.T, index v1.ImageIndex) map[string]v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]v1.Image{}
	for _, entry := range manifest.Manifests {
		if entry.Platform.OS == "unknown" {
			continue
		}
		if images[entry.Platform.String()], err = index.Image(entry.Digest); err != nil {
			t.Fatal(err)
		}
	}
	return images
}

// file is an entry of an image's root.
type file struct {
	mode    fs.FileMode
	uid     int
	seconds int64
	content string
}

func readFiles(t *testing.T, image v1.Image) map[string]file {
	t.Helper()
	root := mutate.Extract(image)
	defer root.Close()
	files := map[string]file{}
	for archive := tar.NewReader(root); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = file{header.FileInfo().Mode(), header.Uid, header.ModTime.Unix(), string(content)}
	}
}

func TestImage(t *testing.T) {
	dir := t.TempDir()
	first, second := build(t, filepath.Join(dir, "first")), build(t, filepath.Join(dir, "second"))
	index := readIndex(t, first)
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := readIndex(t, second).Digest(); err != nil || again != digest {
		t.Errorf("a second build has the digest %s (%v), not %s", again, err, digest)
	}
	images := readImages(t, index)
	if got := slices.Sorted(maps.Keys(images)); !slices.Equal(got, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("platforms %v", got)
	}
	for platform, image := range images {
		architecture := strings.TrimPrefix(platform, "linux/")
		const created = 1767225600
		want := map[string]file{
			"usr": {fs.ModeDir | 0o755, 0, created, ""}, "usr/bin": {fs.ModeDir | 0o755, 0, created, ""},
			"usr/bin/ctkeeper":          {0o755, 0, created, "ctkeeper " + architecture},
			"usr/bin/ctkeeper-exporter": {0o755, 0, created, "ctkeeper-exporter " + architecture},
		}
		if diff := cmp.Diff(want, readFiles(t, image), cmp.AllowUnexported(file{})); diff != "" {
			t.Errorf("files of %s (-want +got):\n%s", platform, diff)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		got := []any{config.OS, config.Architecture, config.Config.Entrypoint, config.Config.Cmd, config.Config.User,
			config.Created.Unix(), config.Config.Labels["org.opencontainers.image.version"]}
		wantConfig := []any{"linux", architecture, []string{"/usr/bin/ctkeeper"}, []string{"run"}, "0:0",
			int64(created), "1.2.3"}
		if diff := cmp.Diff(wantConfig, got); diff != "" {
			t.Errorf("configuration of %s (-want +got):\n%s", platform, diff)
		}
	}
}

// TestSBOM pushes the index, as crane does, and asks the registry for what refers to each image. A registry without the
// referrers API has them under a tag.
func TestSBOM(t *testing.T) {
	index := readIndex(t, build(t, filepath.Join(t.TempDir(), "image")))
	for _, hasReferrers := range []bool{true, false} {
		quiet := registry.Logger(log.New(io.Discard, "", 0))
		server := httptest.NewServer(registry.New(quiet, registry.WithReferrersSupport(hasReferrers)))
		defer server.Close()
		repository, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/ctkeeper")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.WriteIndex(repository.Tag("1.2.3"), index); err != nil {
			t.Fatal(err)
		}
		for platform, image := range readImages(t, index) {
			checkReferrer(t, repository, image, strings.TrimPrefix(platform, "linux/"))
		}
	}
}

func checkReferrer(t *testing.T, repository name.Repository, image v1.Image, architecture string) {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	referrers, err := remote.Referrers(repository.Digest(digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := referrers.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].ArtifactType != string(cycloneDX) {
		t.Fatalf("%s is referred to by %+v", architecture, manifest.Manifests)
	}
	artifact, err := remote.Image(repository.Digest(manifest.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := artifact.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	want := []string{"ctkeeper.cdx.json " + architecture, "ctkeeper-exporter.cdx.json " + architecture}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("SBOMs (-want +got):\n%s", diff)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"-version", "1"}, {"-version", "1", "-programs", t.TempDir(), t.TempDir()}} {
		if err := run(args); err == nil {
			t.Errorf("%v is no error", args)
		}
	}
}
