/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include "../abi/drops.h"
#include "../abi/event.h"
#include "../lib/bpf.bpf.h"

/* A socket that has been used since the agent started. */
struct socket_entry {
	u64 inode;   /* number of its inode: another one means the address was reused */
	u64 id;      /* of next_id */
	u32 cap_seq; /* data calls so far */
	u8 skipped;  /* not traced: neither TCP nor UDP over IP, or a port that is left out */
	u8 has_seq;  /* plain TCP: tcp_sock has sequence numbers */
	u8 pad[2];
	u32 sent_seq;     /* where the sends and receives told so far ended: shows whether threads */
	u32 received_seq; /* raced */
	struct df_tuple tuple;
};

/*
 * sockets: address of struct sock -> struct socket_entry. Written at the first call on a socket
 * and by connect and accept; deleted at the close of its last descriptor. When full the least
 * recently used goes; should that socket be used again, it gets a new id. 72 bytes + about 70 of
 * overhead an entry: 9 MiB at 65536.
 */
MAP(sockets, BPF_MAP_TYPE_LRU_HASH, 65536, u64, struct socket_entry);
