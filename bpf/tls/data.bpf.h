/* SPDX-License-Identifier: GPL-2.0 */
/* The return of a call into a TLS library: its plaintext becomes the records of a data call. */
#pragma once

#include "session.bpf.h"

#define TLS_CHUNKS (DF_PAYLOAD_BYTES_MAX / DF_CHUNK_BYTES)

/* Bytes that a call moved, 0: none. */
static __always_inline u32 bytes_moved(const struct tls_call *call, s32 result)
{
	u64 bytes = 0;

	if (!call->moved)
		return result > 0 ? result : 0;
	if (result != 1 || bpf_probe_read_user(&bytes, sizeof(bytes), (void *)call->moved))
		return 0;
	return bytes < 0x7fffffff ? bytes : 0;
}

/*
 * The trace id of what was told. The system calls of the call have passed a send's id on already, so
 * that it is taken from before them.
 */
static __always_inline u64 tls_trace(const struct tls_call *call, struct thread *thread,
				     enum df_direction direction, u64 socket_id)
{
	if (direction == DF_EGRESS) {
		thread->trace_id = 0;
		return call->trace_id;
	}
	return trace_step(thread, direction, socket_id);
}

/* Copies the plaintext into the ring, record by record. */
static __always_inline void copy_plaintext(void *ctx, struct work *work)
{
	u32 chunk;

#if !HAVE_BOUNDED_LOOPS
#pragma unroll
#endif
	for (chunk = 0; chunk < TLS_CHUNKS; chunk++) {
		if (work->left_bytes && !copy_some(work)) {
			count_drop(DF_DROP_PAYLOAD_UNREADABLE);
			work->left_bytes = 0;
		}
		if (!work->left_bytes)
			work->data.event.flags |= DF_FLAG_LAST;
		if (!flush_record(ctx, work) || !work->left_bytes)
			break;
	}
}

static __always_inline void fill_plaintext(struct work *work, const struct tls_call *call,
					   struct socket_entry *entry, u32 bytes)
{
	struct df_data *data = &work->data;
	u32 limit = payload_bytes_max;

	data->tuple = entry->tuple;
	data->socket_id = entry->id;
	data->coroutine_id = call->goid;
	data->tcp_seq = call->tcp_seq;
	if (!entry->has_seq || call->no_seq)
		data->event.flags |= DF_FLAG_NO_SEQ;
	data->direction = tls_direction(call->hook);
	__sync_fetch_and_add(&entry->cap_seq, 1);
	data->cap_seq = entry->cap_seq;
	data->message_bytes = bytes;
	data->offset_bytes = 0;
	work->fill_bytes = 0;
	work->iov_left = 0;
	work->base = call->buf;
	work->left_bytes = bytes < limit ? bytes : limit;
	work->base_bytes = work->left_bytes;
}

static __always_inline void tell_plaintext(void *ctx, struct thread *thread,
					   const struct tls_call *call,
					   struct socket_entry *entry, u64 trace_id, u32 bytes)
{
	struct tls_work *own = take_tls_work();
	u64 mono_ns;

	if (!own) {
		count_tls(TLS_BUSY);
		return;
	}
	mono_ns = call->hook == DF_HOOK_TLS_WRITE ? call->mono_ns : bpf_ktime_get_ns();
	fill_event(&own->work.data.event, DF_EVENT_DATA, call->hook, bpf_get_current_pid_tgid(),
		   call->fd, mono_ns);
	fill_comm(&own->work.data.event, thread, mono_ns);
	fill_plaintext(&own->work, call, entry, bytes);
	own->work.data.trace_id = trace_id;
	copy_plaintext(ctx, &own->work);
	give_tls_work(own);
	count_tls(TLS_TOLD);
}

/* The same of a call into a library, whose socket was seen. */
static __always_inline void tell_library(void *ctx, struct thread *thread,
					 const struct tls_call *call, u32 bytes)
{
	struct socket_entry *entry = find_entry(call->sk, call->inode);
	u64 trace_id;

	if (!entry || entry->skipped)
		return;
	trace_id = tls_trace(call, thread, tls_direction(call->hook), entry->id);
	tell_plaintext(ctx, thread, call, entry, trace_id, bytes);
}

/* A call has returned, if it is the one that was noted. */
static __always_inline int on_tls_return(void *ctx, struct user_regs *regs)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 tid = (u32)pid_tgid;
	struct tls_call *noted = bpf_map_lookup_elem(&tls_calls, &tid);
	struct thread *thread;
	struct tls_call call;
	u32 bytes = 0;

	if (!noted || noted->stack != regs->stack)
		return 0;
	call = *noted;
	bpf_map_delete_elem(&tls_calls, &tid);
	thread = thread_find(tid);
	if (!thread || thread->tid != tid)
		return 0;
	if (call.hook)
		bytes = bytes_moved(&call, regs->result);
	if (!find_socket(&call, thread, pid_tgid, bytes != 0))
		return 0;
	if (!call.hook) {
		/* A handshake is part of no request: it neither takes nor makes a trace id. */
		thread->trace_id = call.trace_id;
		thread->trace_socket = call.trace_socket;
	} else if (bytes) {
		tell_library(ctx, thread, &call, bytes);
	}
	return 0;
}
