package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// cycloneDX is the media type of an SBOM, and the type of the artifact that has the SBOMs of an image.
const cycloneDX types.MediaType = "application/vnd.cyclonedx+json"

const source = "https://github.com/ctkeeper/ctkeeper"

var (
	architectures = []string{"amd64", "arm64"}
	programs      = []string{"ctkeeper", "ctkeeper-exporter"}
)

// release is what an image is made of.
type release struct {
	version, revision string
	created           time.Time
	programs          string // directory
}

// labels returns the annotations of index and manifests, which are the labels of the images, too.
func (r release) labels() map[string]string {
	const key = "org.opencontainers.image."
	labels := map[string]string{
		key + "title":         "ctkeeper",
		key + "description":   "keeper of the Linux connection tracker's settings",
		key + "version":       r.version,
		key + "created":       r.created.Format(time.RFC3339),
		key + "licenses":      "Apache-2.0",
		key + "source":        source,
		key + "url":           source,
		key + "documentation": source + "/blob/main/docs/kubernetes.md",
	}
	if r.revision != "" {
		labels[key+"revision"] = r.revision
	}
	return labels
}

// index returns the index of the images and their SBOMs.
func (r release) index() (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range architectures {
		image, err := r.image(architecture)
		if err != nil {
			return nil, fmt.Errorf("cannot make the image for %s: %w", architecture, err)
		}
		boms, err := r.boms(architecture, image)
		if err != nil {
			return nil, fmt.Errorf("cannot attach the SBOMs for %s: %w", architecture, err)
		}
		index = mutate.AppendManifests(index,
			addendum(image, v1.Platform{OS: "linux", Architecture: architecture}),
			// No runtime takes it for an image of its own platform.
			addendum(boms, v1.Platform{OS: "unknown", Architecture: "unknown"}))
	}
	return mutate.Annotations(index, r.labels()).(v1.ImageIndex), nil
}

func addendum(image v1.Image, platform v1.Platform) mutate.IndexAddendum {
	return mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}}
}

// image returns the image for one architecture.
func (r release) image(architecture string) (v1.Image, error) {
	archive, err := r.archive(architecture)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{
		Created: v1.Time{Time: r.created}, CreatedBy: "make image", Comment: "/usr/bin",
	}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", architecture, v1.Time{Time: r.created}
	// User 0, who owns the kernel's files: another one can write sysctls with an ambient CAP_NET_ADMIN, which
	// Kubernetes has no field for, and never the hash table's size.
	config.Config = v1.Config{
		Entrypoint: []string{"/usr/bin/ctkeeper"}, Cmd: []string{"run"}, User: "0:0", Labels: r.labels(),
		Env: []string{"PATH=/usr/bin"},
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, r.labels()).(v1.Image), nil
}

// archive returns a tar archive of the programs.
func (r release) archive(architecture string) ([]byte, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, dir := range []string{"usr/", "usr/bin/"} {
		header := tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: r.created}
		if err := archive.WriteHeader(&header); err != nil {
			return nil, err
		}
	}
	for _, name := range programs {
		content, err := os.ReadFile(filepath.Join(r.programs, architecture, name))
		if err != nil {
			return nil, err
		}
		header := tar.Header{
			Typeflag: tar.TypeReg, Name: "usr/bin/" + name, Mode: 0o755, Size: int64(len(content)), ModTime: r.created,
		}
		if err := archive.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(content); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), archive.Close()
}

// boms returns the artifact with the SBOMs of an image. Its type is that of its configuration, as the image
// specification has it for a manifest without artifactType.
func (r release) boms(architecture string, subject v1.Image) (v1.Image, error) {
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), cycloneDX)
	for _, name := range programs {
		content, err := os.ReadFile(filepath.Join(r.programs, architecture, name+".cdx.json"))
		if err != nil {
			return nil, err
		}
		artifact, err = mutate.Append(artifact, mutate.Addendum{
			Layer: static.NewLayer(content, cycloneDX), MediaType: cycloneDX,
			// The name of the file that oras pull writes.
			Annotations: map[string]string{"org.opencontainers.image.title": name + ".cdx.json"},
		})
		if err != nil {
			return nil, err
		}
	}
	descriptor, err := partial.Descriptor(subject)
	if err != nil {
		return nil, err
	}
	return mutate.Subject(artifact, v1.Descriptor{
		MediaType: descriptor.MediaType, Size: descriptor.Size, Digest: descriptor.Digest,
	}).(v1.Image), nil
}
