/* SPDX-License-Identifier: GPL-2.0 */
/* What the entry of a system call leaves for its exit. */
#pragma once

#include "../lib/sock.bpf.h"
#include "../maps/threads.bpf.h"

/* The current thread's entry, for storing a call in; NULL: it is left out. */
static __always_inline struct thread *thread_entering(u64 pid_tgid)
{
	struct thread *thread = thread_claim((u32)pid_tgid);

	if (!thread || thread_excluded(thread, pid_tgid >> 32))
		return NULL;
	return thread;
}

/* The current thread's entry if the call that ends now was stored by `hook`; forgets the call. */
static __always_inline struct thread *thread_leaving(u64 pid_tgid, enum df_hook hook)
{
	struct thread *thread = thread_find((u32)pid_tgid);

	if (!thread || thread->tid != (u32)pid_tgid || thread->call.hook != hook)
		return NULL;
	thread->call.hook = 0;
	return thread;
}

static __always_inline void store_sock(struct call *call, struct sock_ref *ref)
{
	call->sk = ref->sk;
	call->socket = ref->socket;
	call->inode = ref->inode;
	call->tcp_state = ref->tcp_state;
	call->stream = ref->stream;
}

static __always_inline void fill_event(struct df_event *event, enum df_event_kind kind,
				       enum df_hook hook, u64 pid_tgid, s32 fd, u64 mono_ns)
{
	event->kind = kind;
	event->version = DF_ABI_VERSION;
	event->hook = hook;
	event->flags = 0;
	event->tgid = pid_tgid >> 32;
	event->tid = (u32)pid_tgid;
	event->fd = fd;
	event->mono_ns = mono_ns;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
}
