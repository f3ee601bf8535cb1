// SPDX-License-Identifier: MIT OR GPL-2.0
//
// What the programs and the daemon share: records, rules and maps. bpf2go makes Go types of them.

#pragma once

#include "kernel.h"
#include <bpf/bpf_helpers.h>

#define NAME_SIZE 128 // of a sysctl's name with its NUL; the catalogue's longest has 57 letters
#define TEXT_SIZE 64
#define COMM_SIZE 16 // TASK_COMM_LEN

// The kinds of records.
enum kind {
	WROTE_SYSCTL = 1,
	WROTE_SYSFS,
	LOADED_MODULE,
	UNLOADED_MODULE,
};

// A process that did something, and when. Unknown fields are zero.
struct actor {
	__u64 time;   // nanoseconds of CLOCK_MONOTONIC
	__u64 cgroup; // the id of its control group
	__u32 pid;    // of the thread group, in the initial pid namespace
	__u32 netns;  // the inode number of the network namespace in which a write to a sysctl takes effect
	__u8 comm[COMM_SIZE];
};

struct record {
	enum kind kind;
	__u32 setting; // the index of the setting
	struct actor by;
	__u8 text[TEXT_SIZE]; // the value; for a load, the actor that last requested a module
	__s64 result;         // of a write to sysfs; of one to a sysctl -EPERM if refused, 1 if absorbed, else 0
};

enum flags {
	LOCK = 1, // refuse values outside of the range
	HOLD = 2, // absorb them
	ZERO_IS_NO_LIMIT = 4,
	GLOBAL = 8, // one value for the whole host, not one for each network namespace
};

// What is wanted of a setting: numbers from low to high are accepted.
struct rule {
	__s64 low;
	__s64 high;
	__u32 setting;
	enum flags flags;
};

struct name {
	__u8 text[NAME_SIZE];
};

// Only the sysctl programs read the maps without preallocated memory, and they run where the kernel may sleep.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024); // one or two names for each setting with a want
	__type(key, struct name);  // a path below /proc/sys
	__type(value, struct rule);
} ctkeeper_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u64); // a control group whose writes are never blocked
	__type(value, __u8);
} ctkeeper_allow SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 10); // some 500 records
} ctkeeper_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64); // the number of records lost because the ring buffer was full
} ctkeeper_lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct actor); // who last requested a module
} ctkeeper_modreq SEC(".maps");
