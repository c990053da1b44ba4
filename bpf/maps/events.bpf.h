/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include "../abi/drops.h"
#include "../lib/bpf.bpf.h"
#include "../lib/config.bpf.h"

/*
 * events: the ring of abi/event.h records, in the order in which their system calls ended.
 * Written by every hook; read by BpfSource::poll. When full, the record is not written and counted
 * as DF_DROP_RING_FULL. Size: set at load (default 8 MiB).
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SEC(".maps");

/*
 * drops: enum df_drop -> losses on this CPU since load. Written by every hook, read by
 * BpfSource::counters; cannot be full. 8 bytes x reasons x CPUs.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DF_DROP_END);
	__type(key, u32);
	__type(value, u64);
} drops SEC(".maps");

static __always_inline void count_drop(enum df_drop reason)
{
	u32 key = reason;
	u64 *count = bpf_map_lookup_elem(&drops, &key);

	if (count)
		*count += 1;
}

/* Flags for a record when much waits: wake the reader. Else it comes by its timer. */
static __always_inline u64 wakeup_flags(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wakeup_bytes ?
		       BPF_RB_FORCE_WAKEUP :
		       BPF_RB_NO_WAKEUP;
}

/*
 * Puts one record into the ring. Most go without a wakeup, which costs the traced program about a
 * microsecond.
 */
static __always_inline bool emit(void *record, u32 bytes, u64 flags)
{
	if (bpf_ringbuf_output(&events, record, bytes, flags) == 0)
		return true;
	count_drop(DF_DROP_RING_FULL);
	return false;
}
