/* SPDX-License-Identifier: GPL-2.0 */
/* Sends and receives: what is stored at entry, what is reported at exit. */
#pragma once

#include "../abi/event.h"
#include "../file/call.bpf.h"
#include "../lib/goroutine.bpf.h"
#include "call.bpf.h"
#include "capture.bpf.h"
#include "entry.bpf.h"

/* The arguments of a data call, the same for all of them. */
struct data_args {
	s32 fd;
	u64 buf;
	u64 len;
	u64 name; /* sockaddr, 0: none */
	u32 flags;
	enum df_direction direction;
};

#define BIT(n) (1U << (n))
#define EGRESS_HOOKS                                                                       \
	(BIT(DF_HOOK_WRITE) | BIT(DF_HOOK_WRITEV) | BIT(DF_HOOK_SENDTO) | BIT(DF_HOOK_SENDMSG) | \
	 BIT(DF_HOOK_SENDMMSG) | BIT(DF_HOOK_SENDFILE64) | BIT(DF_HOOK_SPLICE))

static __always_inline enum df_direction direction_of(enum df_hook hook)
{
	return EGRESS_HOOKS >> hook & 1 ? DF_EGRESS : DF_INGRESS;
}

static __always_inline bool takes_vector(enum df_hook hook)
{
	return hook == DF_HOOK_READV || hook == DF_HOOK_WRITEV;
}

static __always_inline bool takes_message(enum df_hook hook)
{
	return hook == DF_HOOK_SENDMSG || hook == DF_HOOK_RECVMSG;
}

static __always_inline bool takes_messages(enum df_hook hook)
{
	return hook == DF_HOOK_SENDMMSG || hook == DF_HOOK_RECVMMSG;
}

/* Whether what a call moves is never in memory of the process. */
static __always_inline bool moves_unseen(enum df_hook hook)
{
	return hook == DF_HOOK_SENDFILE64 || hook == DF_HOOK_SPLICE;
}

/* Reads the next sequence number to be sent or to be read by the process. */
static __always_inline u32 read_seq(u64 sk, enum df_direction direction)
{
	struct tcp_sock *tcp = (void *)sk;
	u32 seq = 0;

	if (have_cast) {
		tcp = CAST(sk, struct tcp_sock);
		return direction == DF_EGRESS ? tcp->write_seq : tcp->copied_seq;
	}
	if (direction == DF_EGRESS)
		READ_FIELD(&seq, tcp, write_seq);
	else
		READ_FIELD(&seq, tcp, copied_seq);
	return seq;
}

static __always_inline int on_data_enter(struct caller *caller, enum df_hook hook,
					 const struct data_args *args)
{
	enum df_direction direction = args->direction;
	struct thread *thread = thread_before(caller);
	struct sock_ref ref = {};
	struct call *call;

	if (args->flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE))
		return 0;
	if (!sock_of_fd(caller, args->fd, thread, &ref)) {
		struct file_args file = { args->fd, takes_vector(hook) ? 0 : args->len, -1 };

		return on_file_enter(caller, hook, &file, thread);
	}
	thread = thread_entering(caller, thread);
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
	call->direction = direction;
	call->hook = hook;
	return 0;
}

/*
 * The sequence number of the call's first byte. At entry it is known even if a FIN was read along
 * with the data (copied_seq counts the FIN), but not if the connection was still being made. It
 * lies before the end of what was told already if another thread used the socket meanwhile.
 */
static __always_inline void fill_seq(struct df_data *data, struct socket_entry *entry,
				     const struct call *call, enum df_direction direction,
				     u32 bytes)
{
	u32 *told = direction == DF_EGRESS ? &entry->sent_seq : &entry->received_seq;
	u32 seq = call->tcp_seq;

	if (unlikely(call->tcp_state == TCP_CLOSE || call->tcp_state == TCP_SYN_SENT)) {
		seq = read_seq(call->sk, direction) - bytes;
	} else if (*told && (s32)(seq - *told) < 0) {
		data->event.flags |= DF_FLAG_SEQ_UNSURE;
	}
	data->tcp_seq = seq;
	*told = seq + bytes;
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

/*
 * Puts what the goroutine has received last into the thread that runs it now: what the thread has is
 * another goroutine's.
 */
static __always_inline void load_trace(struct thread *thread, u64 goid, u32 tgid)
{
	struct goroutine key = { goid, tgid, 0 };
	struct go_trace *trace = bpf_map_lookup_elem(&go_traces, &key);

	if (trace && trace->watch != thread->watch)
		trace = NULL;
	thread->trace_id = trace ? trace->id : 0;
	thread->trace_socket = trace ? trace->socket : 0;
}

/* Keeps it for when another thread runs the goroutine. */
static __always_inline void store_trace(struct thread *thread, u64 goid, u32 tgid)
{
	struct goroutine key = { goid, tgid, 0 };
	struct go_trace fresh = { thread->trace_id, thread->trace_socket, thread->watch, 0 };
	struct go_trace *trace = bpf_map_lookup_elem(&go_traces, &key);

	if (trace)
		*trace = fresh;
	else if (fresh.id)
		bpf_map_update_elem(&go_traces, &key, &fresh, BPF_ANY);
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

/* Fills in one message of `bytes` bytes; false: its ports are left out. */
static __always_inline bool fill_message(struct work *work, struct thread *thread,
					 struct socket_entry *entry, enum df_direction direction,
					 u64 name, u32 bytes)
{
	struct df_data *data = &work->data;
	u32 limit = payload_bytes_max;

	data->tuple = entry->tuple;
	if (has_no_peer(&entry->tuple)) {
		if (name)
			read_remote(name, &data->tuple);
		if (ports_refused(data->tuple.local_port, data->tuple.remote_port))
			return false;
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
	return true;
}

/*
 * Opens the next message of a sendmmsg or recvmmsg: the kernel wrote each one's length. False: it
 * is not to be told, or nothing can be said of it.
 */
static __always_inline bool open_next(struct work *work, struct thread *thread,
				      struct socket_entry *entry, u32 *bytes)
{
	u64 messages = work->messages;
	u64 name;

	work->data.event.flags = work->flags;
	work->messages += sizeof(struct mmsghdr);
	name = open_message(work, messages);
	if (bpf_probe_read_user(bytes, sizeof(*bytes),
				(void *)messages + __builtin_offsetof(struct mmsghdr, bytes)))
		return false;
	return fill_message(work, thread, entry, work->data.direction, name, *bytes);
}

#if HAVE_BOUNDED_LOOPS
/* Reports the next message. Global, so that the loop around it is cheap to verify; it finds its
 * things again for that. 0: go on.
 */
__noinline int report_next(void)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread = thread_find((u32)pid_tgid);
	struct work *work = work_here();
	struct socket_entry *entry;
	u32 bytes = 0;

	if (!thread || !work)
		return 1;
	entry = find_entry(thread->call.sk, thread->call.inode);
	if (!entry)
		return 1;
	if (open_next(work, thread, entry, &bytes))
		capture_all();
	work->data.tcp_seq += bytes;
	return 0;
}

static __always_inline void report_messages(struct caller *caller __attribute__((unused)),
					    struct work *work, u64 messages, u32 count)
{
	u32 i;

	work->flags = work->data.event.flags;
	work->messages = messages;
	for (i = 0; i < DF_MESSAGES_MAX && i < count; i++)
		if (report_next())
			return;
}
#else
static __always_inline void report_messages(struct caller *caller, struct work *work, u64 messages,
					    u32 count)
{
	work->flags = work->data.event.flags;
	work->messages = messages;
	work->messages_left = count;
	work->told_bytes = 0;
	work->under_way = 0;
	capture_on(caller, work);
}

/* Opens the next message of this CPU's work; false: there is none. */
static __always_inline bool begin_next(struct caller *caller, struct work *work)
{
	struct thread *thread = thread_find(caller_tid(caller));
	struct socket_entry *entry;
	u32 bytes = 0;

	if (!work->messages_left || !thread)
		return false;
	entry = find_entry(thread->call.sk, thread->call.inode);
	if (!entry)
		return false;
	work->messages_left--;
	/* The sequence number is that of the message before, with its bytes. */
	work->data.tcp_seq += work->told_bytes;
	work->under_way = open_next(work, thread, entry, &bytes);
	work->told_bytes = bytes;
	return true;
}

/* The program `tails[TAIL_CAPTURE]`: as far as it gets with this CPU's work, then once more. */
static __always_inline int on_capture(struct caller *caller)
{
	struct work *work = work_here();
	enum step led_to = STEP_MORE;
	u32 step;

	if (!work)
		return 0;
	if (!work->under_way && !begin_next(caller, work))
		return 0;
	if (work->under_way) {
#pragma unroll
		for (step = 0; step < TAIL_STEPS; step++) {
			led_to = capture_step(caller->ctx, work);
			if (led_to != STEP_MORE)
				break;
		}
		if (led_to == STEP_DONE)
			capture_end(caller->ctx, work);
		if (led_to != STEP_MORE)
			work->under_way = 0;
	}
	if (work->under_way || work->messages_left)
		capture_on(caller, work);
	return 0;
}
#endif

/* A data call of `thread` has ended with `ret` bytes or messages. */
static __always_inline int on_data_exit(struct caller *caller, struct thread *thread,
					enum df_hook hook, s64 ret)
{
	struct call *call = &thread->call;
	enum df_direction direction = hook == DF_HOOK_SPLICE ? call->direction :
							       direction_of(hook);
	u64 name = call->name;
	struct socket_entry *entry;
	struct df_data *data;
	struct work *work;
	u64 mono_ns;

	if (ret <= 0)
		return 0;
	entry = entry_of(call->sk, call->inode);
	/* Before the next call: old verifiers forget that what is kept on the stack was NULL. */
	if (!entry || entry->skipped)
		return 0;
	work = work_here();
	if (!work)
		return 0;
	data = &work->data;
	mono_ns = direction == DF_EGRESS ? call->mono_ns : bpf_ktime_get_ns();
	fill_event(&data->event, DF_EVENT_DATA, hook, caller->pid_tgid, call->fd, mono_ns);
	fill_comm(&data->event, thread, mono_ns);
	data->socket_id = entry->id;
	data->direction = direction;
	data->coroutine_id = 0;
	if (unlikely(thread->goid_at)) {
		data->coroutine_id = read_goid(read_g(caller->g), thread->goid_at);
		load_trace(thread, data->coroutine_id, caller_tgid(caller));
	}
	data->tcp_seq = call->tcp_seq;
	if (!entry->has_seq)
		data->event.flags |= DF_FLAG_NO_SEQ;
	else if (!takes_messages(hook))
		fill_seq(data, entry, call, direction, ret);
	if (direction == DF_INGRESS && call->stream && call->flags & MSG_TRUNC)
		data->event.flags |= DF_FLAG_NO_COPY;
	if (moves_unseen(hook))
		data->event.flags |= DF_FLAG_NO_COPY;
	if (direction == DF_EGRESS && call->stream && call->flags & MSG_FASTOPEN)
		entry->tuple.role = DF_ROLE_CONNECT;

	if (takes_messages(hook)) {
		report_messages(caller, work, call->buf, ret);
		return 0;
	}
	if (takes_message(hook)) {
		name = open_message(work, call->buf);
	} else {
		work->iov = call->buf;
		work->iov_left = takes_vector(hook) ? call->len : 0;
		work->base = call->buf;
		work->base_bytes = takes_vector(hook) ? 0 : call->len;
	}
	if (!fill_message(work, thread, entry, direction, name, ret))
		return 0;
	if (unlikely(data->coroutine_id))
		store_trace(thread, data->coroutine_id, caller_tgid(caller));
	capture_buffer(caller, work);
	return 0;
}
