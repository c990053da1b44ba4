/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a tier of kernels can do. Code tests HAVE_* only, never a tier or a kernel version.
 * A tier is named by its lowest kernel; -DTIER_V310 or -DTIER_V510 comes from the build.
 */
#pragma once

#if defined(TIER_V510)
#define HAVE_BTF 1             /* maps by BTF, raw tracepoints with it, reads through pointers; 5.11 */
#define HAVE_RINGBUF 1         /* BPF_MAP_TYPE_RINGBUF, 5.8 */
#define HAVE_BOUNDED_LOOPS 1   /* 5.3; and global functions, verified once, 5.6 */
#define HAVE_FUNCTIONS 1       /* BPF-to-BPF calls, 4.16 */
#define HAVE_GLOBAL_DATA 1     /* .rodata and .bss, 5.2 */
#define HAVE_PROBE_READ_USER 1 /* 5.5 */
#elif defined(TIER_V310)
#define HAVE_BTF 0             /* fields are put in by the loader, from where it got them */
#define HAVE_RINGBUF 0         /* a perf event array, one ring a CPU */
#define HAVE_BOUNDED_LOOPS 0   /* tail calls instead */
#define HAVE_FUNCTIONS 0
#define HAVE_GLOBAL_DATA 0     /* settings are put in by the loader, too */
#define HAVE_PROBE_READ_USER 0
#else
#error "name a tier: -DTIER_V310 or -DTIER_V510"
#endif
