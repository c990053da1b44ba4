/* SPDX-License-Identifier: GPL-2.0 */
/* The BPF helpers and map macros in use; numbers are the kernel's ABI (enum bpf_func_id). */
#pragma once

#include "tier.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

struct task_struct;

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#if HAVE_FUNCTIONS
#define __outlined __attribute__((noinline))
#else
#define __outlined inline __attribute__((always_inline))
#endif
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Defines a map. Kernels before 4.18 refuse maps that tell the BTF of their keys and values. */
#if HAVE_BTF
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define MAP(name, map_type, entries, key_type, value_type) \
	struct {                                           \
		__uint(type, map_type);                    \
		__uint(max_entries, entries);              \
		__type(key, key_type);                     \
		__type(value, value_type);                 \
	} name SEC(".maps")
#else
struct map_definition {
	u32 type;
	u32 key_bytes;
	u32 value_bytes;
	u32 entries;
	u32 flags;
};
#define MAP(name, map_type, entries, key_type, value_type)               \
	struct map_definition name SEC("maps") = { map_type, sizeof(key_type), \
						   sizeof(value_type), entries, 0 }
#endif

#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PROG_ARRAY 3
#define BPF_MAP_TYPE_PERF_EVENT_ARRAY 4
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_LRU_HASH 9
#define BPF_MAP_TYPE_RINGBUF 27

#define BPF_ANY 0
#define BPF_F_CURRENT_CPU 0xffffffffULL
#define BPF_RB_NO_WAKEUP 1
#define BPF_RB_FORCE_WAKEUP 2
#define BPF_RB_AVAIL_DATA 0

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value,
				   u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static long (*bpf_tail_call)(void *ctx, void *programs, u32 index) = (void *)12;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*bpf_get_current_comm)(void *buf, u32 bytes) = (void *)16;
static long (*bpf_perf_event_output)(void *ctx, void *rings, u64 flags, void *data,
				     u64 bytes) = (void *)25;
static u64 (*bpf_get_current_task)(void) = (void *)35;
#if HAVE_PROBE_READ_USER
static long (*bpf_probe_read_user)(void *dst, u64 bytes, const void *src) = (void *)112;
static long (*bpf_probe_read_kernel)(void *dst, u64 bytes, const void *src) = (void *)113;
static long (*bpf_probe_read_kernel_str)(void *dst, u64 bytes, const void *src) = (void *)115;
#else
static long (*bpf_probe_read_user)(void *dst, u64 bytes, const void *src) = (void *)4;
static long (*bpf_probe_read_kernel)(void *dst, u64 bytes, const void *src) = (void *)4;
static long (*bpf_probe_read_kernel_str)(void *dst, u64 bytes, const void *src) = (void *)45;
#endif
static long (*bpf_ringbuf_output)(void *ring, void *data, u64 bytes, u64 flags) = (void *)130;
static u64 (*bpf_ringbuf_query)(void *ring, u64 flags) = (void *)134;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;

/* Keeps the compiler from merging or moving accesses across it. */
#define barrier() asm volatile("" ::: "memory")
/* Makes a value opaque to the compiler, so that the bound tested next stays in the code. */
#define opaque(x) asm volatile("" : "+r"(x))
