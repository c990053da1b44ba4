/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include "../lib/bpf.bpf.h"

/*
 * go_processes: tgid -> place of the number in a runtime.g. Written by the agent when it has looked
 * into a program of Go, after which it raises EPOCH_EXCLUDED; deleted when the process ends or runs
 * another program. When full the agent's call fails, and goroutines of that process have no number. 8 bytes +
 * about 60 x 4096.
 */
MAP(go_processes, BPF_MAP_TYPE_HASH, 4096, u32, u32);

static __always_inline u32 goid_place(u32 tgid)
{
	u32 *place = bpf_map_lookup_elem(&go_processes, &tgid);

	return place ? *place : 0;
}

static __always_inline void go_process_ends(u32 tgid)
{
	bpf_map_delete_elem(&go_processes, &tgid);
}

struct goroutine {
	u64 goid; /* never used twice in a process */
	u32 tgid;
	u32 pad;
};

/* What links what a goroutine receives to what it sends next: see trace_step(). */
struct go_trace {
	u64 id;
	u64 socket;
	u32 watch; /* EPOCH_WATCH when it was stored */
	u32 pad;
};

/*
 * go_traces: goroutine -> struct go_trace. Written when it receives; never deleted. LRU: when full
 * the goroutine longest idle is forgotten, and what it sends next begins no trace. 40 bytes + about
 * 70 x 32768.
 */
MAP(go_traces, BPF_MAP_TYPE_LRU_HASH, 32768, struct goroutine, struct go_trace);

/* The request that a goroutine was begun for. */
struct go_origin {
	u64 goid;     /* who has received it */
	u64 trace_id; /* as that one has it while it is not answered */
};

/*
 * go_origins: goroutine -> struct go_origin. Written when it is begun by one that is at a request;
 * never deleted. LRU: when full those of the goroutine longest ago are forgotten, and what its
 * children send begins no trace. 32 bytes + about 70 x 32768.
 */
MAP(go_origins, BPF_MAP_TYPE_LRU_HASH, 32768, struct goroutine, struct go_origin);
