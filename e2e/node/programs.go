package node

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// kubernetesVersion is the release of all of Kubernetes, and of one kube-proxy.
const kubernetesVersion = "v1.36.3"

// laterProxy is the other kube-proxy's: since v1.37 it only raises max.
const laterProxy = "v1.37.2"

// Programs are the files that a node needs. They are built before it starts, because it has no network.
type Programs struct {
	Kubernetes map[string]string // by name; the later kube-proxy is kube-proxy-v1.37.2
	Crane      string
	Helm       string
	Pause      string
	Image      string // directory with the OCI layout
	Keeper     string // directory with ctkeeper and ctkeeper-exporter
	CRDs       string // directory with the custom resource definitions of the Prometheus operator
}

// build returns the programs, from the cache of package rig or new. top is the directory of the repository.
func build(top, dir string) (p Programs, err error) {
	p.Kubernetes, err = rig.Kubernetes(kubernetesVersion,
		"kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kube-proxy")
	if err != nil {
		return p, err
	}
	later, err := rig.Kubernetes(laterProxy, "kube-proxy")
	if err != nil {
		return p, err
	}
	p.Kubernetes["kube-proxy-"+laterProxy] = later["kube-proxy"]
	crane := "github.com/google/go-containerregistry/cmd/crane"
	if p.Crane, err = rig.Tool(filepath.Join(top, "packaging/image/go.mod"), crane); err != nil {
		return p, err
	}
	if p.CRDs, err = rig.MonitoringCRDs(); err != nil {
		return p, err
	}
	helm := "helm.sh/helm/v3/cmd/helm"
	if p.Helm, err = rig.Tool(filepath.Join(top, "packaging/helm/tools.mod"), helm); err != nil {
		return p, err
	}
	p.Pause = filepath.Join(dir, "pause")
	if _, err := rig.Command(".", "go", "build", "-o", p.Pause, "./pause"); err != nil {
		return p, err
	}
	if _, err := rig.Command(top, "make", "--no-print-directory", "image"); err != nil {
		return p, err
	}
	if p.Image, err = filepath.Abs(filepath.Join(top, "dist/image")); err != nil {
		return p, err
	}
	p.Keeper, err = filepath.Abs(filepath.Join(top, "dist/work-image", runtime.GOARCH))
	return p, err
}

// pushImages fills the registry: ctkeeper's image with two tags, and images of one program each.
func (n *Node) pushImages(t testing.TB) {
	t.Helper()
	must := func(args ...string) {
		t.Helper()
		if _, err := command("", nil, append([]string{n.Programs.Crane}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	Eventually(t, upTimeout, "the registry answers", func() error {
		_, err := command("", nil, n.Programs.Crane, "catalog", registry)
		return err
	})
	must("push", n.Programs.Image, registry+"/ctkeeper:1")
	must("tag", registry+"/ctkeeper:1", "2")
	for name, program := range map[string]string{
		"pause:1":                         n.Programs.Pause,
		"kube-proxy:" + kubernetesVersion: n.Programs.Kubernetes["kube-proxy"],
		"kube-proxy:" + laterProxy:        n.Programs.Kubernetes["kube-proxy-"+laterProxy],
	} {
		archive := filepath.Join(work, filepath.Base(name)+".tar")
		if err := writeArchive(archive, program); err != nil {
			t.Fatal(err)
		}
		must("append", "--oci-empty-base", "-f", archive, "-t", registry+"/"+name)
		tag := registry + "/" + name
		must("mutate", tag, "--entrypoint=/"+filepath.Base(program), "--set-platform=linux/"+runtime.GOARCH, "-t", tag)
	}
}

// writeArchive writes a layer with a program, and the links of a Debian root to /usr, which a pod may mount.
func writeArchive(file, program string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	name, size := filepath.Base(program), int64(len(content))
	headers := []tar.Header{{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: size}}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		headers = append(headers, tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: "usr/" + name})
	}
	for i := range headers {
		if err := archive.WriteHeader(&headers[i]); err != nil {
			return err
		}
		if headers[i].Typeflag == tar.TypeReg {
			if _, err := archive.Write(content); err != nil {
				return err
			}
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o600)
}
