/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a tier of kernels can do. Code tests HAVE_* only, never a tier or a kernel version.
 * A tier is named by its lowest kernel; -DTIER_V510 comes from the build.
 */
#pragma once

#if defined(TIER_V510)
#define HAVE_CORE 1            /* fields are found by the kernel's BTF at load */
#define HAVE_RINGBUF 1         /* BPF_MAP_TYPE_RINGBUF, 5.8 */
#define HAVE_BOUNDED_LOOPS 1   /* 5.3 */
#define HAVE_GLOBAL_FUNCTIONS 1 /* verified once, 5.6 */
#define HAVE_GLOBAL_DATA 1     /* .rodata and .bss, 5.2 */
#define HAVE_PROBE_READ_USER 1 /* 5.5 */
#else
#error "name a tier: -DTIER_V510"
#endif
