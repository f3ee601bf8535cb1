package rig

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// kubeProxyVersion returns the release of Kubernetes whose kube-proxy runs in a guest: $KUBE_PROXY, by default
// v1.36.3. Since v1.37 kube-proxy only raises max.
func kubeProxyVersion() string { return cmp.Or(os.Getenv("KUBE_PROXY"), "v1.36.3") }

// kubernetesRecipe changes when buildKubernetes makes something else of the same version.
const kubernetesRecipe = "1 static stripped"

// KubeProxy returns a directory with the program kube-proxy of $KUBE_PROXY, from the cache or built from its module.
func KubeProxy() (dir string, err error) {
	files, err := Kubernetes(kubeProxyVersion(), "kube-proxy")
	return filepath.Dir(files["kube-proxy"]), err
}

// Kubernetes returns the files of programs of a release of Kubernetes, such as kubelet of v1.36.3, from the cache or
// built from the module k8s.io/kubernetes. If one is missing all are built, by one command: one is linked while others
// are compiled.
func Kubernetes(release string, programs ...string) (files map[string]string, err error) {
	c, err := openCache()
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(c.Dir, ".kubernetes-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	build := sync.OnceValue(func() error { return buildKubernetes(release, programs, work) })
	files = map[string]string{}
	for _, program := range programs {
		dir, err := c.Entry(program, release, kubernetesRecipe, func(dir string) error {
			if err := build(); err != nil {
				return err
			}
			return os.Rename(filepath.Join(work, "bin", program), filepath.Join(dir, program))
		})
		if err != nil {
			return nil, err
		}
		files[program] = filepath.Join(dir, program)
	}
	return files, nil
}

// staging matches the modules of the same repository. Release v1.36.3 of the repository is v0.36.3 of each of them.
var staging = regexp.MustCompile(`=> \./staging/src/(\S+)`)

// buildKubernetes makes work/bin in a module of its own: `go install` refuses a module with replace directives. That
// module requires what the real one does, so the programs have the dependencies of the release.
func buildKubernetes(release string, programs []string, work string) error {
	source, err := moduleDir("k8s.io/kubernetes@" + release)
	if err != nil {
		return err
	}
	required, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(source, "go.sum"))
	if err != nil {
		return err
	}
	number := strings.TrimPrefix(release, "v1.")
	mod := strings.Replace(string(required), "\nmodule k8s.io/kubernetes\n", "\nmodule programs\n", 1)
	mod = staging.ReplaceAllString(mod, "=> $1 v0."+number) + "\nrequire k8s.io/kubernetes " + release + "\n"
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
	args := []string{"build", "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", "bin/"}
	for _, program := range programs {
		args = append(args, "k8s.io/kubernetes/cmd/"+program)
	}
	_, err = Command(work, "go", args...)
	return err
}

// Tool returns a program that is built from a package which a module file requires, from the cache or new.
func Tool(modfile, pkg string) (file string, err error) {
	c, err := openCache()
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(modfile)
	if err != nil {
		return "", err
	}
	program := path.Base(pkg)
	dir, err := c.Entry("tool", program, "1 "+string(content), func(dir string) error {
		_, err := Command(filepath.Dir(modfile), "go", "build", "-trimpath", "-buildvcs=false",
			"-modfile="+filepath.Base(modfile), "-o", filepath.Join(dir, program), pkg)
		return err
	})
	return filepath.Join(dir, program), err
}
