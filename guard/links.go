package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// attached are a program and its link. Neither is pinned: both go with the process.
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

// attachCgroup loads a program and attaches it to the cgroup of a directory, by a bpf_link
// alone: what BPF_PROG_ATTACH attaches (link.AttachCgroup falls back to it) outlives its
// maker.
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

// errNoTracepoint is a kernel without what attachTracepoint is to attach to.
var errNoTracepoint = errors.New("this kernel loads no modules, or has no tracepoints for that")

func attachTracepoint(spec *ebpf.ProgramSpec, name string) (attached, error) {
	return attach(spec, func(p *ebpf.Program) (link.Link, error) {
		made, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: p})
		if errors.Is(err, fs.ErrNotExist) {
			err = errNoTracepoint
		}
		return made, err
	})
}

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
	made, err := to(program)
	if err != nil {
		return attached{}, errors.Join(fmt.Errorf("cannot attach the BPF program %s: %w", spec.Name, err), program.Close())
	}
	return attached{program, made}, nil
}
