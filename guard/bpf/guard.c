// SPDX-License-Identifier: MIT OR GPL-2.0
//
// The programs of the guard. doc.go of the package says how a write is processed.

#include <stdbool.h>

#include "guard.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

// Only GPL-compatible programs may call bpf_probe_read_kernel.
char LICENSE[] SEC("license") = "Dual MIT/GPL";

// What the daemon sets before it loads a program.
const volatile __u32 own_pid;   // the daemon, which is ignored; 0 if unknown
const volatile __u32 own_netns; // the daemon's network namespace
const volatile __u32 hashsize;  // the index of the setting hashsize

// The verdicts of a program for sysctls.
enum { REFUSE, PASS };

// bpf2go finds only types of global variables and of maps; the programs have records on their stacks.
const struct record *const unused __attribute__((unused));

// submit writes a record to the ring buffer, or counts it as lost if the buffer is full.
static __always_inline void submit(struct record *record)
{
	__u32 zero = 0;
	__u64 *lost;

	if (!bpf_ringbuf_output(&ctkeeper_ring, record, sizeof(*record), 0))
		return;
	lost = bpf_map_lookup_elem(&ctkeeper_lost, &zero);
	if (lost)
		__sync_fetch_and_add(lost, 1);
}

static __always_inline void set_actor(struct actor *by, bool pid, bool comm)
{
	by->time = bpf_ktime_get_ns();
	by->cgroup = bpf_get_current_cgroup_id();
	if (pid)
		by->pid = bpf_get_current_pid_tgid() >> 32;
	if (comm)
		bpf_get_current_comm(by->comm, sizeof(by->comm));
}

// find_rule returns the rule of a sysctl that is written, or NULL. The last part of the name is checked first, which is
// cheaper: every name of netfilter begins with nf, or is a number (nf_log/2).
static __always_inline struct rule *find_rule(struct bpf_sysctl *ctx)
{
	if (!ctx->write)
		return NULL;

	__u8 base[8] = {};
	bpf_sysctl_get_name(ctx, (char *)base, sizeof(base), BPF_F_SYSCTL_BASE_NAME); // cuts a longer name
	if (base[0] > '9' && (base[0] != 'n' || base[1] != 'f'))
		return NULL;

	struct name name = {};
	if (bpf_sysctl_get_name(ctx, (char *)name.text, sizeof(name.text), 0) <= 0)
		return NULL;
	return bpf_map_lookup_elem(&ctkeeper_rules, &name);
}

// accepts reports whether a text is a number in the range of a rule. It is parsed as proc_dointvec parses it, which
// detects the base; what follows the number is ignored there as well, or refused. length is an error if the text
// was cut: it may contain another number behind the cut, because the kernel skips white space before a number.
static __always_inline bool accepts(const struct rule *rule, const __u8 *text, int length)
{
	long number = 0;

	if (length <= 0 || bpf_strtol((const char *)text, TEXT_SIZE, 0, &number) <= 0)
		return false;
	if (number < 0) // 5.10 accepts -1 for max, as an unsigned number
		number += 1LL << 32;
	if (number == 0 && rule->flags & ZERO_IS_NO_LIMIT)
		number = (1ULL << 63) - 1;
	return rule->low <= number && number <= rule->high;
}

// write_sysctl handles a write to the sysctl of a rule and returns the verdict.
static __always_inline int write_sysctl(struct bpf_sysctl *ctx, const struct rule *rule, struct record *record)
{
	int length, verdict = PASS;

	// The upper half of these eight bytes is written first: without CAP_PERFMON the verifier refuses a write beside
	// what it treats as a spilled register.
	record->setting = rule->setting;
	barrier();
	record->kind = WROTE_SYSCTL;
	length = bpf_sysctl_get_new_value(ctx, (char *)record->text, sizeof(record->text));
	if (rule->flags & (LOCK | HOLD) && !accepts(rule, record->text, length) &&
	    !bpf_map_lookup_elem(&ctkeeper_allow, &record->by.cgroup)) {
		if (rule->flags & HOLD) {
			// The kernel ignores a write that does not begin at position 0 and returns its full length
			// (proc_first_pos_non_zero_ignore), if kernel.sysctl_writes_strict is 1. Before 6.3 the
			// verifier accepts only a store from a register here.
			ctx->file_pos = 1;
			record->result = 1;
		} else {
			verdict = REFUSE;
			record->result = -EPERM;
		}
	}
	submit(record);
	return verdict;
}

// on_sysctl handles a read or write of a sysctl and returns the verdict.
static __always_inline int on_sysctl(struct bpf_sysctl *ctx, bool pid, bool comm)
{
	struct rule *rule = find_rule(ctx);
	if (!rule)
		return PASS;

	struct record record = {};
	set_actor(&record.by, pid, comm);
	if (own_pid && record.by.pid == own_pid)
		return PASS;
	return write_sysctl(ctx, rule, &record);
}

// One of the next four programs runs before every read and write of a sysctl on the host
// (__cgroup_bpf_run_filter_sysctl). They differ by what the kernel lets them know of the writer: its control group
// alone, the pid too, the command too. They are four, because without CAP_PERFMON the verifier also follows a branch
// that a constant excludes (sanitize_speculative_path), and refuses a helper there that the kernel lacks.
SEC("cgroup/sysctl")
int ctkeeper_cgroup(struct bpf_sysctl *ctx)
{
	return on_sysctl(ctx, false, false);
}

SEC("cgroup/sysctl")
int ctkeeper_pid(struct bpf_sysctl *ctx)
{
	return on_sysctl(ctx, true, false);
}

SEC("cgroup/sysctl")
int ctkeeper_comm(struct bpf_sysctl *ctx)
{
	return on_sysctl(ctx, true, true);
}

// read_netns returns the inode number of the network namespace whose sysctl is written, or 0. It is the namespace in
// which the file was found (net_ctl_set), whatever the process or the file descriptor did since. The verifier knows
// only the members of bpf_sysctl, and lets a program use the context as an address only with CAP_PERFMON.
static __always_inline __u32 read_netns(struct bpf_sysctl *ctx)
{
	struct bpf_sysctl_kern *kern = (void *)ctx;
	struct ctl_table_set *set = BPF_CORE_READ(kern, head, set);
	struct net *net = (void *)set - bpf_core_field_offset(struct net, sysctls);

	return BPF_CORE_READ(net, ns.inum);
}

// ctkeeper_netns needs CAP_PERFMON and the kernel's type information. It ignores writes that take effect in other
// network namespaces.
SEC("cgroup/sysctl")
int ctkeeper_netns(struct bpf_sysctl *ctx)
{
	struct rule *rule = find_rule(ctx);
	if (!rule)
		return PASS;

	struct record record = {.by.netns = read_netns(ctx)};
	if (!(rule->flags & GLOBAL) && record.by.netns != own_netns)
		return PASS;

	struct task_struct *task = (void *)bpf_get_current_task();
	set_actor(&record.by, false, false);
	record.by.pid = BPF_CORE_READ(task, tgid);
	if (own_pid && record.by.pid == own_pid)
		return PASS;
	bpf_core_read(record.by.comm, sizeof(record.by.comm), &task->comm);
	return write_sysctl(ctx, rule, &record);
}

static const __u8 module_name[16] = "nf_conntrack";
static const __u8 parameter_name[16] = "hashsize";

// is_equal reports whether two names of 16 bytes, with zeros at the end, are equal.
static __always_inline bool is_equal(const __u8 *a, const __u8 *b)
{
	return *(__u64 *)a == *(__u64 *)b && *(__u64 *)(a + 8) == *(__u64 *)(b + 8);
}

// is_conntrack reports whether a module is nf_conntrack.
static __always_inline bool is_conntrack(struct module *module)
{
	__u8 name[16] __attribute__((aligned(8))) = {};

	bpf_core_read(name, sizeof(name), &module->name);
	return is_equal(name, module_name);
}

// is_named reports whether the name at a pointer in the kernel's memory is this one.
static __always_inline bool is_named(const char *at, const __u8 *wanted)
{
	__u8 name[16] __attribute__((aligned(8))) = {};

	bpf_probe_read_kernel_str(name, sizeof(name), at);
	return is_equal(name, wanted);
}

// ctkeeper_load reports a load of nf_conntrack, before the module's init, and the process that last requested a
// module, if any did.
SEC("raw_tp/module_load")
int BPF_PROG(ctkeeper_load, struct module *module)
{
	struct record record = {.kind = LOADED_MODULE};
	struct actor *request;
	__u32 zero = 0;

	if (!is_conntrack(module))
		return 0;
	set_actor(&record.by, true, true);
	request = bpf_map_lookup_elem(&ctkeeper_modreq, &zero);
	if (request)
		__builtin_memcpy(record.text, request, sizeof(*request));
	submit(&record);
	return 0;
}

// ctkeeper_free reports an unload, in the process that requested it.
SEC("raw_tp/module_free")
int BPF_PROG(ctkeeper_free, struct module *module)
{
	struct record record = {.kind = UNLOADED_MODULE};

	if (!is_conntrack(module))
		return 0;
	set_actor(&record.by, true, true);
	submit(&record);
	return 0;
}

// ctkeeper_request stores the process that last requested a module. The kernel then starts a modprobe of its own,
// which loads the module.
SEC("raw_tp/module_request")
int ctkeeper_request(void *ctx)
{
	struct actor by = {};
	__u32 zero = 0;

	set_actor(&by, true, true);
	bpf_map_update_elem(&ctkeeper_modreq, &zero, &by, 0);
	return 0;
}

// ctkeeper_sysfs reports a write to the parameter hashsize through sysfs, when module_attr_store returns.
SEC("fexit/module_attr_store")
int BPF_PROG(ctkeeper_sysfs, struct kobject *module, struct attribute *parameter, const char *text, long length,
	     long result)
{
	struct record record = {.kind = WROTE_SYSFS};

	if (!is_named(BPF_CORE_READ(module, name), module_name) ||
	    !is_named(BPF_CORE_READ(parameter, name), parameter_name))
		return 0;
	set_actor(&record.by, true, true);
	if (own_pid && record.by.pid == own_pid)
		return 0;
	record.setting = hashsize;
	record.result = result;
	bpf_probe_read_kernel_str(record.text, sizeof(record.text), text);
	submit(&record);
	return 0;
}
