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

// attachCgroup loads a program and attaches it to the cgroup at dir, by a bpf_link alone: what
// BPF_PROG_ATTACH attaches, to which link.AttachCgroup falls back, outlives the process.
func attachCgroup(spec *ebpf.ProgramSpec, dir string) (a attached, err error) {
	file, err := os.Open(dir)
	if err != nil {
		return a, fmt.Errorf("cannot open the cgroup: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return attach(spec, func(p *ebpf.Program) (link.Link, error) {
		return link.AttachRawLink(link.RawLinkOptions{Target: int(file.Fd()), Program: p, Attach: spec.AttachType})
	})
}

// errNoTracepoint is the error of attachTracepoint on a kernel without the tracepoints of module loading.
var errNoTracepoint = errors.New("this kernel has no loadable modules, or no tracepoints for them")

// attachTracepoint loads a program and attaches it to the raw tracepoint with a name.
func attachTracepoint(spec *ebpf.ProgramSpec, name string) (attached, error) {
	return attach(spec, func(p *ebpf.Program) (link.Link, error) {
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: p})
		if errors.Is(err, fs.ErrNotExist) {
			err = errNoTracepoint
		}
		return l, err
	})
}

// attachTracing loads a program and attaches it to the function in its AttachTo.
func attachTracing(spec *ebpf.ProgramSpec) (attached, error) {
	return attach(spec, func(p *ebpf.Program) (link.Link, error) {
		return link.AttachTracing(link.TracingOptions{Program: p})
	})
}

func attach(spec *ebpf.ProgramSpec, to func(*ebpf.Program) (link.Link, error)) (attached, error) {
	program, err := ebpf.NewProgram(spec)
	if err != nil {
		return attached{}, fmt.Errorf("cannot load the BPF program %s: %w", spec.Name, err)
	}
	l, err := to(program)
	if err != nil {
		err = fmt.Errorf("cannot attach the BPF program %s: %w", spec.Name, err)
		return attached{}, errors.Join(err, program.Close())
	}
	return attached{program, l}, nil
}
