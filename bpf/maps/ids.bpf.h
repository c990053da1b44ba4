/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include "../lib/bpf.bpf.h"
#include "../lib/config.bpf.h"

/*
 * ids: 0 -> ids given out on this CPU. Written by next_id; cannot be full. 8 bytes x CPUs.
 */
MAP(ids, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, u64);

/* A number given out once: for sockets and for traces. 0 only if the map cannot be read. */
static __always_inline u64 next_id(void)
{
	u32 key = 0;
	u64 *given = bpf_map_lookup_elem(&ids, &key);
	u64 n;

	if (!given)
		return 0;
	n = *given;
	*given = n + 1;
	return id_base + bpf_get_smp_processor_id() + n * id_stride;
}
