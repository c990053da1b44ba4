/* SPDX-License-Identifier: GPL-2.0 */
/* The entry of a socket in `sockets`: found, or made with a new id when it is first seen. */
#pragma once

#include "../lib/sock.bpf.h"
#include "../maps/events.bpf.h"
#include "../maps/filters.bpf.h"
#include "../maps/ids.bpf.h"
#include "../maps/sockets.bpf.h"

/* Whether each message of the socket may have another peer. */
static __always_inline bool has_no_peer(const struct df_tuple *tuple)
{
	return tuple->protocol == IPPROTO_UDP && !tuple->remote_port;
}

/*
 * Reads the tuple again and decides anew whether the socket is traced. For one without a peer the
 * ports of each message decide.
 */
static __always_inline void refresh_entry(struct socket_entry *entry, u64 sk)
{
	struct df_tuple *tuple = &entry->tuple;
	u16 protocol = 0;
	bool known = read_tuple(sk, tuple, &protocol);

	entry->has_seq = protocol == IPPROTO_TCP && FIELD_EXISTS(struct tcp_sock, write_seq);
	entry->skipped = !known || (!has_no_peer(tuple) &&
				    ports_refused(tuple->local_port, tuple->remote_port));
}

static __outlined struct socket_entry *make_entry(u64 sk, u64 inode)
{
	/* On the stack: up to 4.17 a value may not be read from another map. */
	struct socket_entry fresh = {};

	fresh.inode = inode;
	fresh.id = next_id();
	refresh_entry(&fresh, sk);
	if (bpf_map_update_elem(&sockets, &sk, &fresh, BPF_ANY)) {
		count_drop(DF_DROP_MAP_FULL);
		return NULL;
	}
	return bpf_map_lookup_elem(&sockets, &sk);
}

static __always_inline struct socket_entry *find_entry(u64 sk, u64 inode)
{
	struct socket_entry *entry = bpf_map_lookup_elem(&sockets, &sk);

	return entry && entry->inode == inode ? entry : NULL;
}

/* NULL: the map could not take it (counted). */
static __always_inline struct socket_entry *entry_of(u64 sk, u64 inode)
{
	struct socket_entry *entry = find_entry(sk, inode);

	if (unlikely(!entry))
		return make_entry(sk, inode);
	return entry;
}
