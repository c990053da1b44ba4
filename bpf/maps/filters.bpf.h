/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include "../lib/bpf.bpf.h"
#include "events.bpf.h"

/*
 * excluded: tgid -> 1 for processes that are not traced. Written and deleted by
 * BpfSource::exclude and include; when full they fail. About 64 bytes an entry.
 */
MAP(excluded, BPF_MAP_TYPE_HASH, 1024, u32, u8);

/* Which number of `epochs`. */
enum epoch {
	EPOCH_EXCLUDED = 0, /* raised when `excluded` or `go_processes` changes, or the next one */
	EPOCH_WATCH = 1,    /* raised when system calls are watched again after a rest */
	EPOCHS = 2,
};

/*
 * epochs: enum epoch -> a number raised by the agent; threads then look themselves up again, and forget
 * what was under way before a rest. 8 bytes.
 */
MAP(epochs, BPF_MAP_TYPE_ARRAY, EPOCHS, u32, u32);

/* The number now. It begins with 1. */
static __always_inline u32 epoch_now(enum epoch which)
{
	u32 key = which;
	u32 *number = bpf_map_lookup_elem(&epochs, &key);

	return number ? *number : 0;
}

/*
 * resting: 0 -> 1 while the agent keeps to its share of the processors and wants no calls. Written by
 * BpfSource::rest and resume; 4 bytes.
 */
MAP(resting, BPF_MAP_TYPE_ARRAY, 1, u32, u32);

/* Whether a call is not looked at since the agent rests (counted). */
static __always_inline bool passed_over(void)
{
	u32 key = 0;
	u32 *rests = bpf_map_lookup_elem(&resting, &key);

	if (likely(!rests || !*rests))
		return false;
	count_drop(DF_DROP_UNWATCHED_CALL);
	return true;
}

/*
 * ports: bitmaps of ports, 64 a word: words 0..1023 allowed, 1024..2047 denied. Written at load;
 * 16 KiB.
 */
MAP(ports, BPF_MAP_TYPE_ARRAY, 2048, u32, u64);

static __always_inline bool port_in(u32 first_word, u16 port)
{
	u32 key = first_word + (port >> 6);
	u64 *word = bpf_map_lookup_elem(&ports, &key);

	return word && (*word >> (port & 63) & 1);
}

/* Whether the configuration leaves out a socket with these ports. */
static __always_inline bool ports_refused(u16 local, u16 remote)
{
	if (ports_allowed_on && !port_in(0, local) && !port_in(0, remote))
		return true;
	return ports_denied_on && (port_in(1024, local) || port_in(1024, remote));
}
