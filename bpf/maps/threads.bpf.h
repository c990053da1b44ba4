/* SPDX-License-Identifier: GPL-2.0 */
#pragma once

#include "../abi/drops.h"
#include "../abi/limits.h"
#include "../lib/bpf.bpf.h"
#include "../lib/config.bpf.h"
#include "events.bpf.h"
#include "filters.bpf.h"
#include "goroutines.bpf.h"

/* In `hook` of a call on a file, of which buf is the struct file, name the place, flags the fd. */
#define CALL_ON_FILE 0x80

/* A system call between its entry and its exit. */
struct call {
	u64 mono_ns;  /* sends, connect, calls on files: entry; else 0 */
	u64 sk;       /* struct sock */
	u64 inode;    /* number of the socket's inode: tells reused sock addresses apart */
	u64 file;     /* struct file, struct socket: to find the same socket sooner next time */
	u64 socket;
	u64 buf;      /* buffer, iovec array, msghdr or mmsghdr array in user memory */
	u64 len;      /* bytes, or elements of the array */
	u64 name;     /* sockaddr in user memory, 0: none */
	u32 tcp_seq;  /* write_seq or copied_seq at entry */
	u32 flags;    /* MSG_* of the call */
	s32 fd;
	u8 hook;      /* enum df_hook, and CALL_ON_FILE; 0: no call under way */
	u8 tcp_state; /* at entry */
	u8 stream;    /* SOCK_STREAM */
	u8 direction; /* enum df_direction */
};

/* What is known of a thread that has used a socket. */
struct thread {
	u32 tid;     /* owner of the slot, 0: free */
	u32 spilled; /* threads that belong here but are in `threads_spill` */
	u32 epoch;   /* EPOCH_EXCLUDED when `excluded` and `goid_at` were looked up */
	u32 excluded;
	u32 goid_at; /* of the process in `go_processes`, 0: it is none */
	u32 watch;   /* EPOCH_WATCH at the last call */
	u64 trace_id;     /* waits for a send to take it, 0: none */
	u64 trace_socket; /* socket id from which trace_id's request came */
	u64 comm_ns;      /* when `comm` was read, 0: never */
	char comm[DF_COMM_BYTES];
	struct call call;
};

/*
 * threads: tid & thread_mask -> struct thread. An array, since its lookup is inlined: a hash
 * insert, lookup and delete would triple the cost of a traced call. Taken at a thread's first
 * socket call, freed when the thread ends (process/exit.bpf.h). A slot held by another living
 * thread sends the newcomer to threads_spill. 144 bytes x min(pid_max, 65536) = 9 MiB at most.
 */
MAP(threads, BPF_MAP_TYPE_ARRAY, 65536, u32, struct thread);

/*
 * threads_spill: tid -> struct thread, for threads whose slot is taken; only where pid_max is above
 * 65536. When full the thread's call is not traced and counted as DF_DROP_MAP_FULL. 0.6 MiB.
 */
MAP(threads_spill, BPF_MAP_TYPE_HASH, 4096, u32, struct thread);

static __always_inline struct thread *thread_slot(u32 tid)
{
	u32 key = tid & thread_mask;

	return bpf_map_lookup_elem(&threads, &key);
}

/* The thread's entry if it has one. */
static __always_inline struct thread *thread_find(u32 tid)
{
	struct thread *slot = thread_slot(tid);

	if (!slot || slot->tid == tid)
		return slot;
	if (likely(!slot->spilled))
		return NULL;
	return bpf_map_lookup_elem(&threads_spill, &tid);
}

static __outlined struct thread *thread_spill(struct thread *slot, u32 tid)
{
	/* On the stack: up to 4.17 a value may not be read from another map. */
	struct thread fresh = {};

	fresh.tid = tid;
	if (bpf_map_update_elem(&threads_spill, &tid, &fresh, BPF_ANY)) {
		count_drop(DF_DROP_MAP_FULL);
		return NULL;
	}
	__sync_fetch_and_add(&slot->spilled, 1);
	return bpf_map_lookup_elem(&threads_spill, &tid);
}

/* The thread's entry, made if it has none. NULL: none could be had (counted). */
static __always_inline struct thread *thread_claim(u32 tid)
{
	struct thread *slot = thread_slot(tid);
	struct thread *spilled;

	if (!slot || likely(slot->tid == tid))
		return slot;
	if (slot->spilled) {
		spilled = bpf_map_lookup_elem(&threads_spill, &tid);
		if (spilled)
			return spilled;
	}
	if (slot->tid)
		return thread_spill(slot, tid);
	slot->tid = tid;
	slot->epoch = 0;
	slot->trace_id = 0;
	slot->comm_ns = 0;
	slot->call.file = 0;
	slot->call.hook = 0;
	return slot;
}

/* Frees what the thread had. Called when it ends. */
static __always_inline void thread_free(u32 tid)
{
	struct thread *slot = thread_slot(tid);

	if (!slot)
		return;
	if (slot->tid == tid) {
		slot->call.hook = 0;
		slot->tid = 0;
	} else if (slot->spilled && !bpf_map_delete_elem(&threads_spill, &tid)) {
		__sync_fetch_and_add(&slot->spilled, -1);
	}
}

/* Forgets what a thread was before it ran another program. */
static __always_inline void thread_renew(u32 tid)
{
	struct thread *thread = thread_find(tid);

	if (!thread || thread->tid != tid)
		return;
	thread->trace_id = 0;
	thread->comm_ns = 0;
	thread->goid_at = 0;
}

/* After a rest: what the thread received before it is answered already. */
static __always_inline void thread_wake(struct thread *thread)
{
	u32 watch = epoch_now(EPOCH_WATCH);

	if (thread->watch == watch)
		return;
	thread->watch = watch;
	thread->trace_id = 0;
}

/* Whether the process of this thread is left out. */
static __always_inline bool thread_excluded(struct thread *thread, u32 tgid)
{
	u32 epoch = epoch_now(EPOCH_EXCLUDED);

	if (unlikely(thread->epoch != epoch)) {
		thread->epoch = epoch;
		thread->excluded = bpf_map_lookup_elem(&excluded, &tgid) != NULL;
		thread->goid_at = goid_place(tgid);
		thread_wake(thread);
	}
	return thread->excluded;
}
