package guard

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// unrelated is a sysctl that the guard does not watch. The benchmark writes the value that it has.
	unrelated = "/proc/sys/net/ipv4/ip_default_ttl"
	rounds    = 40
	perRound  = 25_000 // with rounds: 1 M reads and 1 M writes in each variant
)

// BenchmarkOthers measures what an access to an unrelated sysctl costs: 1 M reads and 1 M writes without any
// program, with an empty one, and with the guard. The empty program shows what the kernel itself costs as soon as
// any program is attached: it reads the value before each access (__cgroup_bpf_run_filter_sysctl). The variants
// take turns; ratios are medians over the turns. The size is fixed: run it with -benchtime 1x.
func BenchmarkOthers(b *testing.B) {
	if _, err := os.Stat(unrelated); err != nil {
		b.Skip(err)
	}
	cgroup := newCgroup(b, fmt.Sprintf("ctkeeper-bench-%d.service", os.Getpid()))
	enterCgroup(b, cgroup)
	file, err := os.OpenFile(unrelated, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	value := make([]byte, 16)
	n, err := file.Read(value)
	if err != nil {
		b.Fatal(err)
	}
	value = value[:n]
	variants := []string{"none", "empty", "watch", "lock", "hold"}
	read := func() error { _, err := unix.Pread(int(file.Fd()), make([]byte, 16), 0); return err }
	write := func() error { _, err := unix.Pwrite(int(file.Fd()), value, 0); return err }
	reads, writes := map[string][]time.Duration{}, map[string][]time.Duration{}
	for b.Loop() {
		for range rounds {
			for _, variant := range variants {
				detach := attachVariant(b, variant, cgroup)
				reads[variant] = append(reads[variant], measure(b, read))
				writes[variant] = append(writes[variant], measure(b, write))
				detach()
			}
		}
	}
	report := func(kind string, took map[string][]time.Duration) {
		for _, variant := range variants {
			b.ReportMetric(float64(median(took[variant]).Nanoseconds())/perRound, variant+"-ns/"+kind)
		}
		ratio := func(a, of string) float64 {
			all := make([]float64, len(took[a]))
			for i := range all {
				all[i] = float64(took[a][i]) / float64(took[of][i])
			}
			return median(all)
		}
		for _, pair := range [][2]string{
			{"empty", "none"}, {"watch", "empty"}, {"lock", "empty"}, {"hold", "empty"}, {"watch", "none"},
		} {
			b.ReportMetric(ratio(pair[0], pair[1]), pair[0]+"/"+pair[1]+"-"+kind)
		}
	}
	report("read", reads)
	report("write", writes)
}

// measure returns how long perRound calls take.
func measure(b *testing.B, op func() error) time.Duration {
	start := time.Now()
	for range perRound {
		if err := op(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start)
}

func median[T int | float64 | time.Duration](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// attachVariant attaches the programs of a variant, and returns a function that detaches them.
func attachVariant(b *testing.B, variant, cgroup string) func() {
	switch variant {
	case "none":
		return func() {}
	case "empty":
		empty, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.CGroupSysctl, AttachType: ebpf.AttachCGroupSysctl, License: "Dual MIT/GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
		})
		if err != nil {
			b.Fatal(err)
		}
		a, err := attachCgroup(empty, cgroup)
		if err != nil {
			b.Fatal(err)
		}
		return func() { _ = a.close() }
	}
	g := openGuard(b, Options{Cgroup: cgroup})
	var wants []sysfs.Want
	for _, s := range sysfs.Catalogue() {
		wants = append(wants, sysfs.Want{Setting: s, Policy: sysfs.Exactly, Value: sysfs.Number(1)})
	}
	setWants(b, g, map[string]Mode{"watch": Watch, "lock": Lock, "hold": Hold}[variant], wants...)
	return func() { _ = g.Close() }
}
