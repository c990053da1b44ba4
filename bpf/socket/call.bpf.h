/* SPDX-License-Identifier: GPL-2.0 */
/* What the entry of a system call leaves for its exit. */
#pragma once

#include "../lib/caller.bpf.h"
#include "../lib/sock.bpf.h"
#include "../maps/threads.bpf.h"
#include "../maps/work.bpf.h"

/* How old a thread's name may be. It changes by prctl, mostly before the first socket call. */
#define COMM_AGE_NS 50000000ULL

/*
 * The socket behind a descriptor, if it is one of IPv4 or IPv6. `thread` (may be NULL) remembers
 * its last socket: while the file and the inode are the same, less is to be read.
 */
static __always_inline bool sock_of_fd(struct caller *caller, s32 fd, struct thread *thread,
				       struct sock_ref *ref)
{
	struct file *file = file_of(caller->files, fd);
	struct work *work = work_here();
	struct call *last;

	if (!file || !work)
		return false;
	/* Without functions the stack has no room for the short way beside the long one. */
	if (have_cast || !HAVE_FUNCTIONS)
		return sock_of_file(file, work->payload, ref);
	if (!thread || thread->tid != caller_tid(caller) || thread->call.file != (u64)file)
		return sock_of_file(file, work->payload, ref);
	last = &thread->call;
	if (!read_socket(last->socket, file, work->payload, ref) || ref->inode != last->inode ||
	    ref->sk != last->sk)
		return sock_of_file(file, work->payload, ref);
	if (last->tcp_state != TCP_ESTABLISHED)
		return read_state(ref);
	ref->tcp_state = TCP_ESTABLISHED;
	return true;
}

/* The caller's entry if it has one, where that helps to find the socket; else it comes later. */
static __always_inline struct thread *thread_before(struct caller *caller)
{
	return HAVE_FUNCTIONS ? thread_find(caller_tid(caller)) : NULL;
}

/* The caller's entry, for storing a call in; NULL: it is left out. */
static __always_inline struct thread *thread_entering(struct caller *caller,
						      struct thread *thread)
{
	if (!thread || thread->tid != caller_tid(caller))
		thread = thread_claim(caller_tid(caller));
	if (!thread || thread_excluded(thread, caller_tgid(caller)))
		return NULL;
	return thread;
}

static __always_inline void store_sock(struct call *call, struct sock_ref *ref)
{
	call->sk = ref->sk;
	call->file = ref->file;
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
}

/*
 * Reads the process's name: that of its main thread. A process that is gone before user space can
 * look has only this one; the calling thread's may be a pool's (dig: isc-net-0000).
 */
static __always_inline void read_name(char *name)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = NULL;

	READ_FIELD(&leader, task, group_leader);
	READ_FIELD((char(*)[DF_COMM_BYTES])name, leader, comm);
}

/* Puts the process's name into an event; reads it anew when it has got old. */
static __always_inline void fill_comm(struct df_event *event, struct thread *thread, u64 now_ns)
{
	if (unlikely(now_ns - thread->comm_ns > COMM_AGE_NS)) {
		read_name(thread->comm);
		thread->comm_ns = now_ns;
	}
	__builtin_memcpy(event->comm, thread->comm, sizeof(event->comm));
}
