/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include "../abi/event.h"
#include "../lib/bpf.bpf.h"

/* How far the path of a file is read. */
struct path_walk {
	u64 dentry; /* the next name */
	u64 mount;  /* that it is in, 0: not known */
	u64 root;   /* dentry at which that begins */
	u32 bytes;  /* of the names so far */
	u32 mount_bytes;    /* of those below the first mount point */
	u32 is_above_mount; /* 1: that has been passed */
	u32 steps;
};

/*
 * A record under construction and the place reached in the user's buffers. The state lives in a
 * map and not in registers so that the verifier sees one iteration of the copy loop like another.
 */
struct work {
	u64 iov;        /* next struct iovec in user memory */
	u32 iov_left;   /* elements not yet begun */
	u32 left_bytes; /* of the message, still to copy */
	u64 base;       /* next byte of the current buffer */
	u64 base_bytes; /* left in the current buffer */
	u32 fill_bytes; /* in `payload` */
	u32 lost;       /* 1: the ring was full, the rest of the message is not tried */
	u64 messages;   /* sendmmsg, recvmmsg: the next mmsghdr in user memory */
	u32 flags;      /* sendmmsg, recvmmsg: df_flag of every message */
	u32 unasked_bytes; /* written since the ring was last asked how much waits */
	u32 messages_left; /* tiers without loops: messages not yet begun */
	u32 told_bytes;    /* tiers without loops: length of the message told last */
	u32 pad;
	u32 under_way;     /* tiers without loops: 1: a message is being copied */
	/* A call on a file that took long: */
	struct path_walk walk;
	u64 ended_ns;
	s64 result;
	u64 g;             /* see struct caller */
	u32 file_hook;
	u32 is_file_begun; /* tiers without loops: 1: the path is being read */
	struct df_data data; /* directly before the payload: they leave as one record */
	u8 payload[2 * DF_CHUNK_BYTES]; /* filled to DF_CHUNK_BYTES; the rest is for the verifier */
};

/*
 * works: CPU -> struct work. Hooks run with preemption off, so no two use one CPU's at once.
 * Written and read by the hooks; cannot be full; sized by the loader: 33 KiB x CPUs. (A per-CPU map
 * has at most 32 KiB a value.)
 */
MAP(works, BPF_MAP_TYPE_ARRAY, 1, u32, struct work);

static __always_inline struct work *work_here(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&works, &cpu);
}
