// SPDX-License-Identifier: MIT OR GPL-2.0
//
// The types of the kernel that the programs use, in place of a vmlinux.h of several megabytes. Of the structures
// with preserve_access_index only the members are real: the loader replaces their offsets with those of the running
// kernel, which it finds by name in the kernel's own type information (CO-RE).

#pragma once

// bpf_helpers.h uses these names.
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

#define NULL ((void *)0)
#define EPERM 1

// include/uapi/linux/bpf.h
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_F_NO_PREALLOC = 1,
	BPF_F_SYSCTL_BASE_NAME = 1,
};

// The context of a program for sysctls. The verifier replaces each access to it with one to a bpf_sysctl_kern.
struct bpf_sysctl {
	__u32 write;
	__u32 file_pos;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ctl_table_set {
	int unused;
};

struct ctl_table_header {
	struct ctl_table_set *set;
};

// What the context really is (include/linux/filter.h).
struct bpf_sysctl_kern {
	struct ctl_table_header *head;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
	struct ctl_table_set sysctls;
};

struct task_struct {
	int tgid;
	char comm[16];
};

struct module {
	char name[16]; // longer in the kernel
};

struct kobject {
	const char *name;
};

struct attribute {
	const char *name;
};

#pragma clang attribute pop
