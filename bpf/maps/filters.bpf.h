/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include "../lib/bpf.bpf.h"

/*
 * excluded: tgid -> 1 for processes that are not traced. Written and deleted by
 * BpfSource::exclude and include; when full they fail. About 64 bytes an entry.
 */
MAP(excluded, BPF_MAP_TYPE_HASH, 1024, u32, u8);

/*
 * excluded_epochs: 0 -> a number raised by the agent when `excluded` changes; threads then look
 * themselves up again. 4 bytes.
 */
MAP(excluded_epochs, BPF_MAP_TYPE_ARRAY, 1, u32, u32);

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
