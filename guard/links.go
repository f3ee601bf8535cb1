package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// attached is a program and its link. Neither is pinned, so both end with the process.
type attached struct {
	program *ebpf.Program
	link    link.Link
}

func (a attached) close() error {
	var errs []error
	if a.link != nil {
		errs = append(errs, a.link.Close())
	}
	if a.program != nil {
		errs = append(errs, a.program.Close())
	}
	return errors.Join(errs...)
}

// attachCgroup attaches a program to the cgroup at dir, by a bpf_link alone: what
// BPF_PROG_ATTACH attaches, to which link.AttachCgroup falls back, outlives the process.
func attachCgroup(program *ebpf.Program, dir string) (a attached, err error) {
	file, err := os.Open(dir)
	if err != nil {
		return a, fmt.Errorf("cannot open the cgroup: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	l, err := link.AttachRawLink(link.RawLinkOptions{
		Target: int(file.Fd()), Program: program, Attach: ebpf.AttachCGroupSysctl,
	})
	return newAttached(program, l, err)
}

// errNoTracepoint is the error of attachTracepoint on a kernel without the tracepoints of module loading.
var errNoTracepoint = errors.New("this kernel has no loadable modules, or no tracepoints for them")

// attachTracepoint attaches a program to the raw tracepoint with a name.
func attachTracepoint(program *ebpf.Program, name string) (attached, error) {
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: program})
	if errors.Is(err, fs.ErrNotExist) {
		err = errNoTracepoint
	}
	return newAttached(program, l, err)
}

// attachTracing attaches a program to the function that it was loaded for.
func attachTracing(program *ebpf.Program) (attached, error) {
	l, err := link.AttachTracing(link.TracingOptions{Program: program})
	return newAttached(program, l, err)
}

// newAttached returns a program with its link. If err is not nil, it closes the program and returns the error.
func newAttached(program *ebpf.Program, l link.Link, err error) (attached, error) {
	if err != nil {
		err = fmt.Errorf("cannot attach the BPF program %s: %w", program, err)
		return attached{}, errors.Join(err, program.Close())
	}
	return attached{program, l}, nil
}
