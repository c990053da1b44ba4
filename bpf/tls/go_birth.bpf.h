/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A goroutine is born: what it does belongs to the request that the one who began it has received.
 *
 * The link is made here and not when it sends, since by then the parent may be at another request. It
 * is handed on from child to child (a client of net/http sends by the grandchild of the one who asks)
 * for as long as the request is not answered, and every child may use it once: what a goroutine that
 * lives on does later, for others, is not taken for the request's.
 */
#pragma once

#include "../maps/goroutines.bpf.h"
#include "go_regs.bpf.h"

/* runtime.g: its m; the same from 1.13 to 1.27. */
#define GO_G_M 48
/* runtime.m: the goroutine that it runs; from 1.25 on, before (runtime.gobuf lost a word). */
#define GO_M_CURG 184
#define GO_M_CURG_OLD 192

/*
 * The goroutine that runs in the thread whose scheduler's g is `g`; 0: not found. Of the two places
 * that it can have, the other one never leads to a g of the same m.
 */
static __always_inline u64 running_g(u64 g)
{
	u64 m = 0, owner = 0, running = 0;

	bpf_probe_read_user(&m, sizeof(m), (void *)(g + GO_G_M));
	if (!m)
		return 0;
	if (!bpf_probe_read_user(&running, sizeof(running), (void *)(m + GO_M_CURG)) && running &&
	    !bpf_probe_read_user(&owner, sizeof(owner), (void *)(running + GO_G_M)) && owner == m)
		return running;
	if (!bpf_probe_read_user(&running, sizeof(running), (void *)(m + GO_M_CURG_OLD)) &&
	    running &&
	    !bpf_probe_read_user(&owner, sizeof(owner), (void *)(running + GO_G_M)) && owner == m)
		return running;
	return 0;
}

/*
 * Finds the request that children of a goroutine belong to; false: none that is not answered yet. `watch`:
 * EPOCH_WATCH now.
 */
static __always_inline bool find_origin(const struct goroutine *parent, struct go_origin *origin,
					u32 watch)
{
	struct go_origin *inherited = bpf_map_lookup_elem(&go_origins, parent);
	struct go_trace *own = bpf_map_lookup_elem(&go_traces, parent);
	struct goroutine root = { 0, parent->tgid, 0 };
	u64 id = own && own->watch == watch ? own->id : 0;

	if (inherited)
		*origin = *inherited;
	if (id && id != origin->trace_id) {
		origin->goid = parent->goid;
		origin->trace_id = id;
		return true;
	}
	if (!origin->trace_id)
		return false;
	root.goid = origin->goid;
	own = bpf_map_lookup_elem(&go_traces, &root);
	return own && own->id == origin->trace_id && own->watch == watch;
}

/* What runtime.newproc1 gives where results are in the stack. */
static __always_inline u64 read_born(const struct go_regs *regs)
{
	u64 born = 0;

	bpf_probe_read_user(&born, sizeof(born), (void *)(regs->stack + GO_STACK_BORN));
	return born;
}

/* runtime.newproc1 returns a new goroutine. */
static __always_inline int on_go_birth(const struct go_regs *regs, u64 born)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread = thread_claim((u32)pid_tgid);
	struct goroutine parent = { 0, pid_tgid >> 32, 0 };
	struct goroutine child = { 0, pid_tgid >> 32, 0 };
	struct go_origin origin = {};
	struct go_trace trace = {};

	if (!thread || thread_excluded(thread, pid_tgid >> 32) || !thread->goid_at)
		return 0;
	parent.goid = read_goid(running_g(regs->g), thread->goid_at);
	if (!parent.goid || !find_origin(&parent, &origin, thread->watch))
		return 0;
	child.goid = read_goid(born, thread->goid_at);
	if (!child.goid || child.goid == parent.goid)
		return 0;
	/* Of no socket: what it receives begins something of its own. */
	trace.id = origin.trace_id;
	trace.watch = thread->watch;
	bpf_map_update_elem(&go_traces, &child, &trace, BPF_ANY);
	bpf_map_update_elem(&go_origins, &child, &origin, BPF_ANY);
	return 0;
}
