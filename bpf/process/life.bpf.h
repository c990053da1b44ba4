/* SPDX-License-Identifier: GPL-2.0 */
/* The life of a process: fork, exec, exit. */
#pragma once

#include "../abi/event.h"
#include "../lib/kernel.bpf.h"
#include "../maps/events.bpf.h"
#include "../maps/threads.bpf.h"
#include "../maps/work.bpf.h"
#include "../socket/call.bpf.h"
#include "container.bpf.h"

/* Fields of the tracepoint sched:sched_process_exec, unchanged since 3.4. */
struct exec_ctx {
	u64 opening;
	u32 filename_location; /* offset from the start of the context in the low 16 bits */
	s32 pid;
	s32 old_pid;
};

/* Bytes before the path, which is the only field without a fixed length. */
#define EXEC_FIXED_BYTES 20

/* Arguments of the same as a raw tracepoint with BTF. */
struct raw_exec_ctx {
	struct task_struct *task;
	s64 old_pid;
	struct linux_binprm *program;
};

/* Fields of the tracepoint task:task_newtask, unchanged since 3.4. */
struct fork_ctx {
	u64 opening;
	s32 pid;
	char comm[DF_COMM_BYTES];
	u64 clone_flags;
};

/* Arguments of the same as a raw tracepoint with BTF. */
struct raw_fork_ctx {
	struct task_struct *task;
	u64 clone_flags;
};

/* A thread, not a process. */
#define CLONE_THREAD 0x00010000

struct exec_record {
	struct df_exec exec;
	char path[DF_PATH_BYTES];
};

_Static_assert(sizeof(struct exec_record) <= sizeof(((struct work *)0)->payload), "exec_record");

/*
 * The path in the context of the tracepoint. 3.10 adds only constants to the address of a context;
 * the kernel always puts the path behind the fixed fields.
 */
static __always_inline const void *exec_path(struct exec_ctx *ctx)
{
	u32 at = ctx->filename_location & 0xffff;

	if (HAVE_BTF)
		return (void *)ctx + at;
	return at == EXEC_FIXED_BYTES ? (void *)ctx + EXEC_FIXED_BYTES : NULL;
}

static __always_inline void fill_process(struct df_process *process, enum df_event_kind kind,
					 enum df_hook hook, u64 pid_tgid)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *parent = NULL;
	int parent_tgid = 0;

	fill_event(&process->event, kind, hook, pid_tgid, -1, bpf_ktime_get_ns());
	read_name(process->event.comm);
	if (FIELD_EXISTS(struct task_struct, real_parent)) {
		READ_FIELD(&parent, task, real_parent);
		READ_FIELD(&parent_tgid, parent, tgid);
	}
	process->parent_tgid = parent_tgid;
}

/*
 * A process begins to run a program. Tells its container and network namespace, which it keeps for
 * life, but for programs like those that make containers.
 */
static __always_inline int on_exec(void *ctx, const void *path)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct work *work = work_here();
	struct nsproxy *spaces = NULL;
	struct exec_record *record;
	struct net *net = NULL;
	u64 bytes;

	thread_renew((u32)pid_tgid);
	go_process_ends(pid_tgid >> 32);
	if (!work)
		return 0;
	record = (void *)work->payload;
	fill_process(&record->exec.process, DF_EVENT_EXEC, DF_HOOK_EXEC, pid_tgid);
	record->exec.process.exit_code = 0;
	record->exec.process.netns = 0;
	if (FIELD_EXISTS(struct task_struct, nsproxy) && FIELD_EXISTS(struct net, ns)) {
		READ_FIELD(&spaces, task, nsproxy);
		READ_FIELD(&net, spaces, net_ns);
		READ_FIELD(&record->exec.process.netns, net, ns.inum);
	}
	if (HAVE_BTF) {
		read_container(record->exec.cgroup);
	} else {
		record->exec.process.event.flags |= DF_FLAG_NO_CGROUP;
		record->exec.cgroup[0] = 0;
	}
	bytes = bpf_probe_read_kernel_str(record->path, sizeof(record->path), path);
	/* The count has the final 0 in it; a failure is negative. */
	bytes -= 1;
	opaque(bytes);
	if (bytes >= DF_PATH_BYTES)
		bytes = 0;
	record->exec.process.path_bytes = bytes;
	emit(ctx, record, sizeof(record->exec) + bytes, wakeup_flags());
	return 0;
}

/*
 * A process begins as a copy of the current one, in whose container and namespaces it is: it may
 * never run a program of its own, and be gone before user space can look.
 */
static __always_inline int on_fork(void *ctx, u32 child, u64 clone_flags)
{
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct df_process record = {};

	if (clone_flags & CLONE_THREAD)
		return 0;
	fill_event(&record.event, DF_EVENT_FORK, DF_HOOK_FORK, (u64)child << 32 | child, -1,
		   bpf_ktime_get_ns());
	read_name(record.event.comm);
	record.parent_tgid = pid_tgid >> 32;
	emit(ctx, &record, sizeof(record), wakeup_flags());
	return 0;
}

/* A thread ends; the last of a process is reported. */
static __always_inline int on_exit(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct signal_struct *signal = NULL;
	struct df_process record = {};
	int live = 0;

	thread_free((u32)pid_tgid);
	if (FIELD_EXISTS(struct signal_struct, live)) {
		READ_FIELD(&signal, task, signal);
		READ_FIELD(&live, signal, live.counter);
	} else {
		/* The main thread is mostly the last. */
		live = (u32)pid_tgid != pid_tgid >> 32;
	}
	if (live != 0)
		return 0;
	go_process_ends(pid_tgid >> 32);
	fill_process(&record, DF_EVENT_EXIT, DF_HOOK_EXIT, pid_tgid);
	if (FIELD_EXISTS(struct task_struct, exit_code))
		READ_FIELD(&record.exit_code, task, exit_code);
	emit(ctx, &record, sizeof(record), wakeup_flags());
	return 0;
}
