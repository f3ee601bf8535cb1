package rig

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// kubeProxyVersion returns the release of Kubernetes whose kube-proxy runs in a guest: $KUBE_PROXY, by default
// v1.36.3. Since v1.37 kube-proxy only raises max.
func kubeProxyVersion() string { return cmp.Or(os.Getenv("KUBE_PROXY"), "v1.36.3") }

// kubeProxyRecipe changes when buildKubeProxy makes something else of the same version.
const kubeProxyRecipe = "1 static stripped"

// KubeProxy returns a directory with the program kube-proxy, from the cache or built from its module.
func KubeProxy() (dir string, err error) {
	c, err := openCache()
	if err != nil {
		return "", err
	}
	release := kubeProxyVersion()
	return c.Entry("kube-proxy", release, kubeProxyRecipe, func(dir string) error {
		return buildKubeProxy(release, dir)
	})
}

// staging matches the modules of the same repository. Release v1.36.3 of the repository is v0.36.3 of each of them.
var staging = regexp.MustCompile(`=> \./staging/src/(\S+)`)

// buildKubeProxy builds in a module of its own: `go install` refuses a module with replace directives. That module
// requires what the real one does, so the program has the dependencies of the release.
func buildKubeProxy(release, dir string) error {
	out, err := Command(dir, "go", "mod", "download", "-json", "k8s.io/kubernetes@"+release)
	if err != nil {
		return err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &module); err != nil {
		return fmt.Errorf("cannot parse the output of go mod download: %w", err)
	}
	required, err := os.ReadFile(filepath.Join(module.Dir, "go.mod"))
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(module.Dir, "go.sum"))
	if err != nil {
		return err
	}
	number := strings.TrimPrefix(release, "v1.")
	mod := strings.Replace(string(required), "\nmodule k8s.io/kubernetes\n", "\nmodule kube-proxy\n", 1)
	mod = staging.ReplaceAllString(mod, "=> $1 v0."+number) + "\nrequire k8s.io/kubernetes " + release + "\n"
	work := filepath.Join(dir, "work")
	defer os.RemoveAll(work)
	for name, content := range map[string]string{"go.mod": mod, "go.sum": string(sums)} {
		if err := writeFile(filepath.Join(work, name), content); err != nil {
			return err
		}
	}
	const version = "k8s.io/component-base/version."
	major, minor, _ := strings.Cut(strings.TrimPrefix(release, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	flags := fmt.Sprintf("-s -w -X %sgitVersion=%s -X %sgitMajor=%s -X %sgitMinor=%s",
		version, release, version, major, version, minor)
	_, err = Command(work, "go", "build", "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags", flags,
		"-o", filepath.Join(dir, "kube-proxy"), "k8s.io/kubernetes/cmd/kube-proxy")
	return err
}
