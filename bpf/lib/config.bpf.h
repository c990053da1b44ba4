/* SPDX-License-Identifier: GPL-2.0 */
/* What the loader sets before load (agent/source/src/bpf/load.rs); constant to the verifier. */
#pragma once

#include "bpf.bpf.h"

/* Numbers of system calls that may be hooked: below this. */
#define HOOK_NUMBERS 512

/* Which calls on files are told (inputs.ebpf.file.io_event.collect_mode). */
enum file_mode {
	FILES_NOT = 0,
	FILES_OF_REQUESTS = 1, /* of threads that work on a request */
	FILES_ALL = 2,
};

#if HAVE_GLOBAL_DATA
const volatile u32 self_tgid = 0;          /* the agent: never traced; 0: traced as others */
const volatile u32 payload_bytes_max = 65536; /* copied of one call or message */
const volatile u32 thread_mask = 0xffff;   /* slots of `threads` minus one, 2^n - 1 */
const volatile u32 ports_allowed_on = 0;   /* 1: only ports in the allowed bitmap */
const volatile u32 ports_denied_on = 0;    /* 1: ports in the denied bitmap are left out */
const volatile u64 id_base = 1;            /* first socket or trace id of this run */
const volatile u32 id_stride = 1;          /* possible CPUs: ids of CPU n are base + n + k*stride */
const volatile u32 wakeup_bytes = 1048576; /* data in the ring from which the reader is woken */

const volatile u32 file_mode = 0;          /* enum file_mode */
const volatile u32 file_min_ns = 1000000;  /* calls on files that took less are not told */
const volatile u32 file_virtual = 0;       /* 1: files of virtual file systems, too */

const volatile u32 have_cast = 0; /* 1: bpf_rdonly_cast is there, see kernel.bpf.h */
const volatile u32 have_preempt = 0; /* 1: programs keep the CPU to themselves, see there */

/* System call number -> enum df_hook, 0: none; the numbers differ between architectures. */
const volatile u8 hook_of_nr[HOOK_NUMBERS] = {};
#else
/*
 * Without global data each use of a setting is an instruction with a constant, which the loader
 * puts in as if it were the offset of a field (agent/source/src/bpf/relocate.rs). Below 2^31 each.
 */
struct settings {
	u32 self_tgid;
	u32 payload_bytes_max;
	u32 thread_mask;
	u32 ports_allowed_on;
	u32 ports_denied_on;
	u32 id_base_low;  /* 31 bits */
	u32 id_base_high; /* the bits above */
	u32 id_stride;
	u32 file_mode;
	u32 file_min_ns;
	u32 file_virtual;
	u32 mode_native; /* bit 4 of the processor's mode in a 64-bit program */
	u32 args_in_memory; /* 1: functions of system calls take the user's registers (4.17) */
} __attribute__((preserve_access_index));

#define SETTING(name) __builtin_preserve_field_info(((struct settings *)0)->name, 0)
#define self_tgid SETTING(self_tgid)
#define payload_bytes_max SETTING(payload_bytes_max)
#define thread_mask SETTING(thread_mask)
#define ports_allowed_on SETTING(ports_allowed_on)
#define ports_denied_on SETTING(ports_denied_on)
#define id_base ((u64)SETTING(id_base_high) << 31 | SETTING(id_base_low))
#define id_stride SETTING(id_stride)
#define file_mode SETTING(file_mode)
#define file_min_ns SETTING(file_min_ns)
#define file_virtual SETTING(file_virtual)
#define mode_native SETTING(mode_native)
#define args_in_memory SETTING(args_in_memory)
#define have_cast 0
#define have_preempt 0
#endif
