/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which socket carries a TLS session (docs/adr/0012).
 *
 * No structure of a library is read. A thread in a call of the library makes its socket calls
 * itself, and what hooks of system calls note of a thread says which socket it was. So the entry of
 * a TLS call wipes that note, and its return looks whether there is one again.
 */
#pragma once

#include "../maps/sockets.bpf.h"
#include "../maps/threads.bpf.h"
#include "../maps/tls.bpf.h"
#include "../socket/data.bpf.h"
#include "regs.bpf.h"

static __always_inline struct tls_session session_of(u64 pid_tgid, u64 session)
{
	struct tls_session key = { session, pid_tgid >> 32, 0 };

	return key;
}

/* What is to be sent or read next on a socket; by helpers, whatever else there is. */
static __always_inline u32 read_next_seq(u64 sk, enum df_direction direction)
{
	struct tcp_sock *tcp = (void *)sk;
	u32 seq = 0;

	if (!FIELD_EXISTS(struct tcp_sock, write_seq))
		return 0;
	if (direction == DF_EGRESS)
		READ_FIELD(&seq, tcp, write_seq);
	else
		READ_FIELD(&seq, tcp, copied_seq);
	return seq;
}

static __always_inline enum df_direction tls_direction(u8 hook)
{
	return hook == DF_HOOK_TLS_WRITE ? DF_EGRESS : DF_INGRESS;
}

/* Fills in what is known of the session's socket before the call. */
static __always_inline void fill_known(struct tls_call *call, u64 pid_tgid)
{
	struct tls_session key = session_of(pid_tgid, call->session);
	struct tls_socket *known = bpf_map_lookup_elem(&tls_sockets, &key);

	if (!known || !find_entry(known->sk, known->inode))
		return;
	call->sk = known->sk;
	call->inode = known->inode;
	call->fd = known->fd;
	call->tcp_seq = read_next_seq(known->sk, tls_direction(call->hook));
}

/*
 * A call has begun. A call inside of another of the same thread lies deeper in the stack; if it is
 * of the same session it is the one that is told, since wrappers pass on what they are given. If it
 * is of another session, one is carried by the other: the outer has the plaintext.
 */
static __always_inline int on_tls_enter(struct user_regs *regs, u8 hook, u64 moved)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 tid = (u32)pid_tgid;
	struct tls_call call = {};
	struct tls_call *outer;
	struct thread *thread;

	if (pid_tgid >> 32 == self_tgid || passed_over())
		return 0;
	call.stack = regs->stack + return_bytes();
	outer = bpf_map_lookup_elem(&tls_calls, &tid);
	if (outer && outer->stack > call.stack && outer->session != regs->a0)
		return 0;
	thread = thread_claim(tid);
	if (!thread || thread_excluded(thread, pid_tgid >> 32))
		return 0;
	call.session = regs->a0;
	call.buf = regs->a1;
	call.moved = moved;
	call.hook = hook;
	call.mono_ns = bpf_ktime_get_ns();
	call.trace_id = thread->trace_id;
	call.trace_socket = thread->trace_socket;
	fill_known(&call, pid_tgid);
	thread->call.sk = 0;
	thread->call.hook = 0;
	bpf_map_update_elem(&tls_calls, &tid, &call, BPF_ANY);
	return 0;
}

/* A session ends, or gets another socket. */
static __always_inline int on_tls_forget(struct user_regs *regs)
{
	struct tls_session key = session_of(bpf_get_current_pid_tgid(), regs->a0);

	bpf_map_delete_elem(&tls_sockets, &key);
	return 0;
}

/*
 * Completes `call` by what the thread did inside of it. False: no socket is certain (counted, if
 * the call moved something).
 */
static __always_inline bool find_socket(struct tls_call *call, struct thread *thread,
					u64 pid_tgid, bool counts)
{
	struct tls_session key = session_of(pid_tgid, call->session);
	struct tls_socket found = {};

	if (!thread->call.sk || !thread->call.stream) {
		if (!call->sk && counts)
			count_tls(TLS_NO_SOCKET);
		return call->sk != 0;
	}
	found.sk = thread->call.sk;
	found.inode = thread->call.inode;
	found.fd = thread->call.fd;
	if (call->sk == found.sk && call->inode == found.inode)
		return true;
	if (call->sk) {
		/* A callback that asked somebody else, or a session moved without our knowing. */
		if (counts)
			count_tls(TLS_UNSURE);
		bpf_map_delete_elem(&tls_sockets, &key);
		return false;
	}
	call->sk = found.sk;
	call->inode = found.inode;
	call->fd = found.fd;
	/* Exact if the call made one system call; a read of a record takes two. */
	call->tcp_seq = thread->call.tcp_seq;
	bpf_map_update_elem(&tls_sockets, &key, &found, BPF_ANY);
	return true;
}
