/* SPDX-License-Identifier: GPL-2.0 */
/* What the loader sets before load (agent/source/src/bpf/load.rs); constant to the verifier. */
#pragma once

#include "bpf.bpf.h"

const volatile u32 self_tgid = 0;          /* the agent: never traced; 0: traced as others */
const volatile u32 payload_bytes_max = 65536; /* copied of one call or message */
const volatile u32 thread_mask = 0xffff;   /* slots of `threads` minus one, 2^n - 1 */
const volatile u32 ports_allowed_on = 0;   /* 1: only ports in the allowed bitmap */
const volatile u32 ports_denied_on = 0;    /* 1: ports in the denied bitmap are left out */
const volatile u64 id_base = 1;            /* first socket or trace id of this run */
const volatile u32 id_stride = 1;          /* possible CPUs: ids of CPU n are base + n + k*stride */
const volatile u32 wakeup_bytes = 1048576; /* data in the ring from which the reader is woken */

const volatile u32 have_cast = 0; /* 1: bpf_rdonly_cast is there, see kernel.bpf.h */

/* System call number -> enum df_hook, 0: none; the numbers differ between architectures. */
#define HOOK_NUMBERS 512
const volatile u8 hook_of_nr[HOOK_NUMBERS] = {};

/* Raised by the loader when `excluded` changes; threads look themselves up again. */
volatile u32 excluded_epoch = 1;
