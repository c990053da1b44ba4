/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include "../abi/drops.h"
#include "../lib/bpf.bpf.h"
#include "../lib/config.bpf.h"

#if HAVE_RINGBUF
/*
 * events: the ring of abi/event.h records, in the order in which their system calls ended.
 * Written by every hook; read by BpfSource::poll. When full, the record is not written and counted
 * as DF_DROP_RING_FULL. Size: set at load (default 8 MiB).
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SEC(".maps");
#else
/*
 * events: CPU -> the perf event whose ring takes the abi/event.h records of that CPU. Filled by the
 * loader; read by BpfSource::poll. When a ring is full, or a CPU has none, the record is not
 * written and counted as DF_DROP_RING_FULL. Sizes: set at load.
 */
MAP(events, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 1, u32, u32);
#endif

/*
 * drops: enum df_drop -> losses on this CPU since load. Written by every hook, read by
 * BpfSource::counters; cannot be full. 8 bytes x reasons x CPUs.
 */
MAP(drops, BPF_MAP_TYPE_PERCPU_ARRAY, DF_DROP_END, u32, u64);

static __always_inline void count_drop(enum df_drop reason)
{
	u32 key = reason;
	u64 *count = bpf_map_lookup_elem(&drops, &key);

	if (count)
		*count += 1;
}

/*
 * ring_operations: 0 -> operations that were handed to the kernel by io_uring on this CPU since load;
 * what they do is not seen. Written at the exit of io_uring_enter, read by BpfSource::counters; cannot
 * be full. 8 bytes x CPUs.
 */
MAP(ring_operations, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, u64);

static __always_inline int count_operations(s64 submitted)
{
	u32 key = 0;
	u64 *count = submitted > 0 ? bpf_map_lookup_elem(&ring_operations, &key) : NULL;

	if (count)
		*count += submitted;
	return 0;
}

#if HAVE_RINGBUF
/* Flags for a record when much waits: wake the reader. Else it comes by its timer. */
static __always_inline u64 wakeup_flags(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wakeup_bytes ?
		       BPF_RB_FORCE_WAKEUP :
		       BPF_RB_NO_WAKEUP;
}
#else
/* A perf ring wakes its reader by itself, at the mark that the loader sets. */
static __always_inline u64 wakeup_flags(void)
{
	return BPF_RB_NO_WAKEUP;
}
#endif

/*
 * Puts one record into the ring. Most go without a wakeup, which costs the traced program about a
 * microsecond. `ctx` is the hook's own context.
 */
static __always_inline bool emit(void *ctx __attribute__((unused)), void *record, u64 bytes,
				 u64 flags __attribute__((unused)))
{
#if HAVE_RINGBUF
	if (bpf_ringbuf_output(&events, record, bytes, flags) == 0)
		return true;
#else
	if (bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, record, bytes) == 0)
		return true;
#endif
	count_drop(DF_DROP_RING_FULL);
	return false;
}
