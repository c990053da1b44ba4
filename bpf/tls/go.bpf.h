/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls of Go's crypto/tls: (*Conn).Read and (*Conn).Write, at their entry and at each instruction
 * by which they return (a hook of the kernel's at returns writes into the stack, which Go moves).
 *
 * A goroutine that waits goes on in another thread, so that a call belongs to its goroutine. Its
 * stack may have moved meanwhile: places in it are told by how far they are from its upper end,
 * which does not change.
 */
#pragma once

#include "data.bpf.h"
#include "go_regs.bpf.h"
#include "go_socket.bpf.h"

/* The begin of runtime.g: its stack. */
struct go_stack {
	u64 low;
	u64 high;
};

static __always_inline struct go_routine routine_of(const struct go_regs *regs, u64 pid_tgid)
{
	struct go_routine key = { regs->g, pid_tgid >> 32, 0 };

	return key;
}

/* Reads the stack's ends; false: it is not the one in use, so that `g` is no goroutine. */
static __always_inline bool read_go_ends(const struct go_regs *regs, struct go_stack *stack)
{
	return regs->g && !bpf_probe_read_user(stack, sizeof(*stack), (void *)regs->g) &&
	       regs->stack >= stack->low && regs->stack < stack->high;
}

/* Fills in whose call it is, and what that goroutine had received before. */
static __always_inline void note_routine(struct thread *thread, struct tls_call *call, u64 g,
					 u32 tgid)
{
	call->goid = read_goid(g, thread->goid_at);
	if (!call->goid)
		return;
	load_trace(thread, call->goid, tgid);
	call->trace_id = thread->trace_id;
	call->trace_socket = thread->trace_socket;
}

/*
 * A call has begun, or begins again since its stack had to grow. A call on another connection inside
 * of one under way carries that one's bytes: the outer has the plaintext.
 */
static __always_inline int on_go_enter(const struct go_regs *regs, u8 hook)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct go_routine key = routine_of(regs, pid_tgid);
	struct go_stack stack = {};
	struct tls_call call = {};
	struct tls_call *outer;
	struct thread *thread;

	if (pid_tgid >> 32 == self_tgid || passed_over())
		return 0;
	thread = thread_claim((u32)pid_tgid);
	if (!thread || thread_excluded(thread, pid_tgid >> 32))
		return 0;
	if (!read_go_ends(regs, &stack)) {
		count_tls(TLS_NO_SOCKET);
		return 0;
	}
	call.stack = stack.high - regs->stack;
	outer = bpf_map_lookup_elem(&go_calls, &key);
	if (outer && outer->stack < call.stack && outer->session != regs->conn)
		return 0;
	call.session = regs->conn;
	call.buf = regs->buf;
	if (regs->buf >= stack.low && regs->buf < stack.high)
		call.moved = stack.high - regs->buf;
	call.hook = hook;
	call.mono_ns = bpf_ktime_get_ns();
	if (thread->goid_at)
		note_routine(thread, &call, regs->g, pid_tgid >> 32);
	fill_go_socket(&call);
	bpf_map_update_elem(&go_calls, &key, &call, BPF_ANY);
	return 0;
}

/* Tells the plaintext of a call that has moved `bytes`. */
static __always_inline void tell_go(void *ctx, const struct tls_call *call, u64 pid_tgid, u32 bytes)
{
	struct thread *thread = thread_claim((u32)pid_tgid);
	struct socket_entry *entry;
	u64 trace_id = 0;

	if (!thread)
		return;
	entry = entry_of(call->sk, call->inode);
	if (!entry || entry->skipped)
		return;
	if (call->goid) {
		load_trace(thread, call->goid, pid_tgid >> 32);
		trace_id = tls_trace(call, thread, tls_direction(call->hook), entry->id);
		store_trace(thread, call->goid, pid_tgid >> 32);
	}
	tell_plaintext(ctx, thread, call, entry, trace_id, bytes);
}

/* A call returns, if it is the one that was noted. */
static __always_inline int on_go_return(void *ctx, const struct go_regs *regs)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct go_routine key = routine_of(regs, pid_tgid);
	struct tls_call *noted = bpf_map_lookup_elem(&go_calls, &key);
	struct go_stack stack = {};
	struct tls_call call;

	if (!noted || !read_go_ends(regs, &stack) || noted->stack != stack.high - regs->stack)
		return 0;
	call = *noted;
	bpf_map_delete_elem(&go_calls, &key);
	if ((s64)regs->result <= 0 || regs->result > 0x7fffffff)
		return 0;
	if (!call.sk) {
		count_tls(TLS_NO_SOCKET);
		return 0;
	}
	if (call.moved)
		call.buf = stack.high - call.moved;
	tell_go(ctx, &call, pid_tgid, regs->result);
	return 0;
}

/*
 * A handshake begins. If a call under way makes it (programs mostly make it by itself), where that
 * one's bytes begin behind it is not known.
 */
static __always_inline int on_go_handshake(const struct go_regs *regs)
{
	struct go_routine key = routine_of(regs, bpf_get_current_pid_tgid());
	struct tls_call *call = bpf_map_lookup_elem(&go_calls, &key);

	if (call)
		call->no_seq = 1;
	return 0;
}
