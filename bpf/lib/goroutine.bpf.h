/* SPDX-License-Identifier: GPL-2.0 */
/* From the current thread of a program of Go to the goroutine that it runs. */
#pragma once

#include "kernel.bpf.h"

#if HAVE_BTF
struct thread_struct___x86 {
	unsigned long fsbase;
} __attribute__((preserve_access_index));

struct task_struct___fs {
	struct thread_struct___x86 thread;
} __attribute__((preserve_access_index));

/* Where the thread's own storage begins on x86; 0 where a register leads to the goroutine. */
static __always_inline u64 read_fs_base(void)
{
	struct task_struct___fs *task = (void *)bpf_get_current_task();
	u64 base = 0;

	if (FIELD_EXISTS(struct task_struct___fs, thread.fsbase))
		READ_FIELD(&base, task, thread.fsbase);
	return base;
}
#else
/* struct task_struct, where the loader found it to keep what x86 has in FS. */
struct task_fs {
	u64 base;
} __attribute__((preserve_access_index));

static __always_inline u64 read_fs_base(void)
{
	struct task_fs *task = (void *)bpf_get_current_task();
	u64 base = 0;

	if (FIELD_EXISTS(struct task_fs, base))
		READ_FIELD(&base, task, base);
	return base;
}
#endif

/*
 * The runtime.g of the current thread: on x86 the last word before the thread's storage
 * (runtime/tls_amd64.s; user space has seen to it that the program has no other there), on arm64
 * the register X28, 0 if that is not known here.
 */
static __always_inline u64 read_g(u64 in_register)
{
	u64 base = read_fs_base();
	u64 g = in_register;

	if (base)
		bpf_probe_read_user(&g, sizeof(g), (void *)(base - 8));
	return g;
}

/* The number of a goroutine; 0: of none that runs code of the program. */
static __always_inline u64 read_goid(u64 g, u32 goid_at)
{
	u64 goid = 0;

	if (g)
		bpf_probe_read_user(&goid, sizeof(goid), (void *)(g + goid_at));
	return goid;
}
