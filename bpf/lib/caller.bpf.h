/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The task in a system call: its ids and its table of open files.
 *
 * Two ways to the same: programs on raw tracepoints follow the kernel's pointers by themselves
 * (BTF, 5.11), others call a helper for each step. A helper costs 10 to 30 ns.
 */
#pragma once

#include "kernel.bpf.h"

/* Programs that another may end in, by index of `tails`; tiers without loops. */
enum tail {
	TAIL_CAPTURE = 0,
	TAIL_FILE = 1,
	TAILS = 2,
};

struct caller {
	u64 pid_tgid; /* process in the high half, thread in the low half */
	void **files; /* open files by descriptor; only for finding sockets */
	void *ctx;    /* of the program that was called */
	void *tails;  /* programs of the same type, enum tail; tiers without loops */
	u64 g;        /* arm64 with BTF, at exit: register X28; else 0 */
};

static __always_inline u32 caller_tid(const struct caller *caller)
{
	return (u32)caller->pid_tgid;
}

static __always_inline u32 caller_tgid(const struct caller *caller)
{
	return caller->pid_tgid >> 32;
}

static __always_inline void **files_by_helper(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct files_struct *files = NULL;
	struct fdtable *table = NULL;
	void **slots = NULL;

	READ_FIELD(&files, task, files);
	READ_FIELD(&table, files, fdt);
	READ_FIELD(&slots, table, fd);
	return slots;
}

static __always_inline u64 ids_by_btf(struct task_struct *task)
{
	return (u64)(u32)task->tgid << 32 | (u32)task->pid;
}

/* Whether the call came in by a 32-bit entry, whose numbers are others. */
static __always_inline bool is_compat(struct task_struct *task)
{
	if (FIELD_EXISTS(struct thread_info___x86, status))
		return ((struct task_struct___x86 *)task)->thread_info.status & TS_COMPAT;
	return task->thread_info.flags & TIF_32BIT;
}

#if !HAVE_BTF
/*
 * Whether the current system call came in by the 64-bit entry, by the registers that the entry left
 * at the top of the task's kernel stack: bit 4 of x86's code segment is set in 64-bit mode, bit 4 of
 * arm64's pstate in 32-bit mode.
 */
static __always_inline bool is_native_call(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct kernel_stack *stack = NULL;
	u64 mode = 0;

	if (!FIELD_EXISTS(struct kernel_stack, mode))
		return false;
	READ_FIELD(&stack, task, stack);
	READ_FIELD(&mode, stack, mode);
	return (mode & 0x10) == mode_native;
}
#endif
