/* SPDX-License-Identifier: GPL-2.0 */
/* Sends and receives: what is stored at entry, what is reported at exit. */
#pragma once

#include "../abi/event.h"
#include "call.bpf.h"
#include "capture.bpf.h"
#include "entry.bpf.h"

/* How the arguments of a call name the user's buffers. */
enum shape {
	SHAPE_BUFFER,   /* buf, bytes */
	SHAPE_VECTOR,   /* iovec array, elements */
	SHAPE_MESSAGE,  /* msghdr */
	SHAPE_MESSAGES, /* mmsghdr array, elements */
};

/* The arguments of a data call, the same for all of them. */
struct data_args {
	s32 fd;
	u64 buf;
	u64 len;
	u64 name; /* sockaddr, 0: none */
	u32 flags;
};

/* Reads the next sequence number to be sent or to be read by the process. */
static __always_inline u32 read_seq(u64 sk, enum df_direction direction)
{
	struct tcp_sock *tcp = (void *)sk;
	u32 seq = 0;

	if (direction == DF_EGRESS)
		READ_FIELD(&seq, tcp, write_seq);
	else
		READ_FIELD(&seq, tcp, copied_seq);
	return seq;
}

static __always_inline int on_data_enter(enum df_hook hook, enum df_direction direction,
					 const struct data_args *args)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct sock_ref ref = {};
	struct thread *thread;
	struct call *call;

	if (pid_tgid >> 32 == self_tgid || args->flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE))
		return 0;
	if (!sock_of_fd(args->fd, &ref))
		return 0;
	thread = thread_entering(pid_tgid);
	if (!thread)
		return 0;
	call = &thread->call;
	store_sock(call, &ref);
	call->tcp_seq = ref.stream ? read_seq(ref.sk, direction) : 0;
	call->mono_ns = direction == DF_EGRESS ? bpf_ktime_get_ns() : 0;
	call->buf = args->buf;
	call->len = args->len;
	call->name = args->name;
	call->flags = args->flags;
	call->fd = args->fd;
	call->hook = hook;
	return 0;
}

/*
 * The sequence number of the call's first byte. At entry it is known even if a FIN was read along
 * with the data (copied_seq counts the FIN), but not if the connection was still being made.
 */
static __always_inline void fill_seq(struct df_data *data, const struct call *call,
				     enum df_direction direction, u32 bytes)
{
	u32 after = read_seq(call->sk, direction);
	u32 moved = after - call->tcp_seq;

	data->tcp_seq = call->tcp_seq;
	if (likely(moved == bytes))
		return;
	if (call->tcp_state == TCP_CLOSE || call->tcp_state == TCP_SYN_SENT)
		data->tcp_seq = after - bytes;
	else if (direction == DF_EGRESS || moved != bytes + 1)
		data->event.flags |= DF_FLAG_SEQ_UNSURE;
}

/*
 * The id that links what a thread receives to what it sends next: made by a receive (kept while
 * more of the same socket comes), taken by the next send.
 */
static __always_inline u64 trace_step(struct thread *thread, enum df_direction direction,
				      u64 socket_id)
{
	u64 id = thread->trace_id;

	if (direction == DF_EGRESS) {
		thread->trace_id = 0;
		return id;
	}
	if (!id || thread->trace_socket != socket_id) {
		id = next_id();
		thread->trace_id = id;
		thread->trace_socket = socket_id;
	}
	return id;
}

/* Points the work at the buffers of a msghdr; returns its sockaddr, 0: none. */
static __always_inline u64 open_message(struct work *work, u64 address)
{
	struct msghdr header = {};

	if (bpf_probe_read_user(&header, sizeof(header), (void *)address))
		work->data.event.flags |= DF_FLAG_UNREADABLE;
	work->iov = header.iov;
	work->iov_left = header.iov_count;
	work->base_bytes = 0;
	return header.name;
}

/* Reports one message of `bytes` bytes whose buffers `work` already points at. */
static __always_inline void report_message(struct work *work, struct thread *thread,
					   struct socket_entry *entry,
					   enum df_direction direction, u64 name, u32 bytes)
{
	struct df_data *data = &work->data;
	u32 limit = payload_bytes_max;

	data->tuple = entry->tuple;
	if (name && data->tuple.protocol == IPPROTO_UDP) {
		read_remote(name, &data->tuple);
		if (ports_refused(data->tuple.local_port, data->tuple.remote_port))
			return;
	}
	__sync_fetch_and_add(&entry->cap_seq, 1);
	data->cap_seq = entry->cap_seq;
	data->trace_id = trace_step(thread, direction, entry->id);
	data->message_bytes = bytes;
	data->offset_bytes = 0;
	work->fill_bytes = 0;
	work->left_bytes = bytes < limit ? bytes : limit;
	if (data->event.flags & (DF_FLAG_NO_COPY | DF_FLAG_UNREADABLE))
		work->left_bytes = 0;
	capture();
}

/*
 * Reports the next message of a sendmmsg or recvmmsg; the kernel wrote each one's length. Global,
 * so that the loop around it is cheap to verify; it finds its things again for that. 0: go on.
 */
__noinline int report_next(void)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread = thread_find((u32)pid_tgid);
	struct work *work = work_here();
	struct socket_entry *entry;
	u32 bytes = 0;
	u64 name;

	if (!thread || !work)
		return 1;
	entry = find_entry(thread->call.sk, thread->call.inode);
	if (!entry)
		return 1;
	work->data.event.flags = work->flags;
	name = open_message(work, work->messages);
	if (bpf_probe_read_user(&bytes, sizeof(bytes),
				(void *)work->messages +
					__builtin_offsetof(struct mmsghdr, bytes)))
		return 1;
	report_message(work, thread, entry, work->data.direction, name, bytes);
	work->data.tcp_seq += bytes;
	work->messages += sizeof(struct mmsghdr);
	return 0;
}

static __always_inline void report_messages(struct work *work, u64 messages, u32 count)
{
	u32 i;

	work->flags = work->data.event.flags;
	work->messages = messages;
	for (i = 0; i < DF_MESSAGES_MAX && i < count; i++)
		if (report_next())
			return;
}

static __always_inline int on_data_exit(enum df_hook hook, enum df_direction direction,
					enum shape shape, s64 ret)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread = thread_leaving(pid_tgid, hook);
	struct socket_entry *entry;
	struct work *work;
	struct call *call;

	if (!thread || ret <= 0)
		return 0;
	call = &thread->call;
	entry = entry_of(call->sk, call->inode);
	work = work_here();
	if (!entry || entry->skipped || !work)
		return 0;
	fill_event(&work->data.event, DF_EVENT_DATA, hook, pid_tgid, call->fd,
		   direction == DF_EGRESS ? call->mono_ns : bpf_ktime_get_ns());
	work->data.socket_id = entry->id;
	work->data.direction = direction;
	work->data.coroutine_id = 0;
	work->data.tcp_seq = 0;
	if (!entry->has_seq)
		work->data.event.flags |= DF_FLAG_NO_SEQ;
	else if (shape == SHAPE_MESSAGES)
		work->data.tcp_seq = call->tcp_seq;
	else
		fill_seq(&work->data, call, direction, ret);
	if (direction == DF_INGRESS && call->stream && call->flags & MSG_TRUNC)
		work->data.event.flags |= DF_FLAG_NO_COPY;
	if (direction == DF_EGRESS && call->stream && call->flags & MSG_FASTOPEN)
		entry->tuple.role = DF_ROLE_CONNECT;

	if (shape == SHAPE_MESSAGES) {
		report_messages(work, call->buf, ret);
		return 0;
	}
	if (shape == SHAPE_MESSAGE) {
		u64 name = open_message(work, call->buf);

		report_message(work, thread, entry, direction, name, ret);
		return 0;
	}
	work->iov = call->buf;
	work->iov_left = shape == SHAPE_VECTOR ? call->len : 0;
	work->base = call->buf;
	work->base_bytes = shape == SHAPE_VECTOR ? 0 : call->len;
	report_message(work, thread, entry, direction, call->name, ret);
	return 0;
}
