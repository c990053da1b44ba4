/* SPDX-License-Identifier: GPL-2.0 */
/* The life of a process: exec, exit. */
#pragma once

#include "../abi/event.h"
#include "../lib/kernel.bpf.h"
#include "../maps/events.bpf.h"
#include "../maps/threads.bpf.h"
#include "../socket/call.bpf.h"

/* Fields of the tracepoint sched:sched_process_exec, unchanged since 3.4. */
struct exec_ctx {
	u64 opening;
	u32 filename_location; /* offset from the start of the context in the low 16 bits */
	s32 pid;
	s32 old_pid;
};

/* Arguments of the same as a raw tracepoint with BTF. */
struct raw_exec_ctx {
	struct task_struct *task;
	s64 old_pid;
	struct linux_binprm *program;
};

struct exec_record {
	struct df_process process;
	char path[DF_PATH_BYTES];
};

static __always_inline void fill_process(struct df_process *process, enum df_event_kind kind,
					 enum df_hook hook, u64 pid_tgid)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *parent = NULL;
	int parent_tgid = 0;

	fill_event(&process->event, kind, hook, pid_tgid, -1, bpf_ktime_get_ns());
	read_name(process->event.comm);
	READ_FIELD(&parent, task, real_parent);
	READ_FIELD(&parent_tgid, parent, tgid);
	process->parent_tgid = parent_tgid;
}

static __always_inline int on_exec(const void *path)
{
	struct exec_record record = {};
	u64 pid_tgid = bpf_get_current_pid_tgid();
	u32 bytes;

	thread_renew((u32)pid_tgid);
	fill_process(&record.process, DF_EVENT_EXEC, DF_HOOK_EXEC, pid_tgid);
	bytes = bpf_probe_read_kernel_str(record.path, sizeof(record.path), path);
	/* The count has the final 0 in it; a failure is negative. */
	bytes -= 1;
	opaque(bytes);
	if (bytes >= DF_PATH_BYTES)
		bytes = 0;
	record.process.path_bytes = bytes;
	emit(&record, sizeof(record.process) + bytes, wakeup_flags());
	return 0;
}

/* A thread ends; the last of a process is reported. */
static __always_inline int on_exit(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct signal_struct *signal = NULL;
	struct df_process record = {};
	int live = 0;

	thread_free((u32)pid_tgid);
	READ_FIELD(&signal, task, signal);
	READ_FIELD(&live, signal, live.counter);
	if (live != 0)
		return 0;
	fill_process(&record, DF_EVENT_EXIT, DF_HOOK_EXIT, pid_tgid);
	READ_FIELD(&record.exit_code, task, exit_code);
	emit(&record, sizeof(record), wakeup_flags());
	return 0;
}
