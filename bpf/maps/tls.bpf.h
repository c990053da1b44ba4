/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include "../lib/bpf.bpf.h"
#include "work.bpf.h"

/* A call into a TLS library between its entry and its return. */
struct tls_call {
	u64 stack;   /* stack pointer as it will be at the return: tells the return of this call.
			Go: how far it is from the stack's upper end */
	u64 session; /* SSL *, gnutls_session_t, *tls.Conn: names a session within its process */
	u64 buf;     /* plaintext in user memory */
	u64 moved;   /* where the call writes how many bytes it moved; 0: its result says so.
			Go: how far a buffer in the stack is from its upper end; 0: elsewhere */
	u64 mono_ns; /* entry */
	u64 sk;      /* socket that is known for the session at entry, 0: none */
	u64 inode;
	u64 trace_id;     /* of the thread at entry */
	u64 trace_socket; /* the same */
	u32 tcp_seq; /* of `sk` at entry: next byte to be sent or to be read by the process */
	s32 fd;
	u8 hook;     /* enum df_hook; 0: a handshake, which moves nothing */
	u8 no_seq;   /* 1: tcp_seq is not that of the plaintext's begin */
	u8 pad[6];
	u64 goid;    /* number of the goroutine, 0: not known */
};

/*
 * tls_calls: tid -> struct tls_call. Written at entry, deleted at return; a thread that ends in the
 * middle leaves its entry, which the next thread of that number replaces. LRU: when full the call
 * longest under way is forgotten and not told. 96 bytes + about 70 of overhead x 8192.
 */
MAP(tls_calls, BPF_MAP_TYPE_LRU_HASH, 8192, u32, struct tls_call);

struct tls_session {
	u64 session;
	u32 tgid;
	u32 pad;
};

/* The socket that carries a session. */
struct tls_socket {
	u64 sk;
	u64 inode; /* another one means that the address was reused */
	s32 fd;
	u32 pad;
};

/*
 * tls_sockets: session -> its socket. Written when system calls inside of a call showed it; deleted
 * when the session is freed or gets another socket. LRU: when full, the session longest unused is
 * forgotten and learned again at its next system call. 40 bytes + about 70 x 32768.
 */
MAP(tls_sockets, BPF_MAP_TYPE_LRU_HASH, 32768, struct tls_session, struct tls_socket);

/* A goroutine: its runtime.g. Another may get the same one when it has ended. */
struct go_routine {
	u64 g;
	u32 tgid;
	u32 pad;
};

/*
 * go_calls: goroutine -> struct tls_call. Written at entry, deleted at return; what a goroutine that
 * ended in the middle left is replaced by the next call of one with the same runtime.g. LRU: when
 * full the call longest under way is forgotten and not told. 104 bytes + about 70 x 16384.
 */
MAP(go_calls, BPF_MAP_TYPE_LRU_HASH, 16384, struct go_routine, struct tls_call);

enum tls_count {
	TLS_TOLD = 0,      /* calls whose plaintext was told */
	TLS_NO_SOCKET = 1, /* calls of which nobody knows the socket: memory BIO and the like */
	TLS_UNSURE = 2,    /* calls that used another socket than the session's */
	TLS_BUSY = 3,      /* calls not told: another of this CPU was being told */
	TLS_COUNTS = 4,
};

/*
 * tls_counts: enum tls_count -> calls on this CPU since load. Written by the hooks of TLS libraries,
 * read by BpfSource::counters; cannot be full.
 */
MAP(tls_counts, BPF_MAP_TYPE_PERCPU_ARRAY, TLS_COUNTS, u32, u64);

static __always_inline void count_tls(enum tls_count which)
{
	u32 key = which;
	u64 *count = bpf_map_lookup_elem(&tls_counts, &key);

	if (count)
		*count += 1;
}

/* A record under construction, and who else wants to. */
struct tls_work {
	u64 users;
	struct work work;
};

/*
 * tls_works: 2 x CPU -> struct tls_work. Unlike other hooks, those of user space can be preempted
 * (from 6.0), so that two may want the same: each has to win `users`, and there are two a CPU. If
 * both are taken the call is not told and counted as TLS_BUSY. Sized by the loader: 66 KiB x CPUs.
 */
MAP(tls_works, BPF_MAP_TYPE_ARRAY, 2, u32, struct tls_work);

static __always_inline struct tls_work *try_tls_work(u32 key)
{
	struct tls_work *own = bpf_map_lookup_elem(&tls_works, &key);

	if (!own)
		return NULL;
	/*
	 * Whoever reads 1 after having added 1 is alone: all that might be here run on one CPU, and
	 * one that comes later reads 2.
	 */
	__sync_fetch_and_add(&own->users, 1);
	if (*(volatile u64 *)&own->users == 1)
		return own;
	__sync_fetch_and_add(&own->users, -1);
	return NULL;
}

/* Takes a place for a record; NULL: all are in use. */
static __always_inline struct tls_work *take_tls_work(void)
{
	u32 key = bpf_get_smp_processor_id() * 2;
	struct tls_work *own = try_tls_work(key);

	return own ? own : try_tls_work(key + 1);
}

static __always_inline void give_tls_work(struct tls_work *own)
{
	__sync_fetch_and_add(&own->users, -1);
}
