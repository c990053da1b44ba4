/* SPDX-License-Identifier: GPL-2.0 */
/* From the numbers of a system call to the body of its hook. */
#pragma once

#include "../file/call.bpf.h"
#include "data.bpf.h"
#include "life.bpf.h"

/* The first five arguments of a system call. */
struct call_args {
	u64 a0;
	u64 a1;
	u64 a2;
	u64 a3;
	u64 a4;
};

/* The end of a splice that may be a socket: the other is a pipe, or both are. */
static __always_inline s32 side_of_splice(struct caller *caller, const struct call_args *args,
					  enum df_direction *direction)
{
	struct file *out = file_of(caller->files, args->a2);
	void *private = NULL;
	struct file *back = NULL;

	if (!out)
		return -1;
	READ_FIELD(&private, out, private_data);
	READ_FIELD(&back, (struct socket *)private, file);
	/* A socket points back to its file. */
	if (back == out)
		return args->a2;
	*direction = DF_INGRESS;
	return args->a0;
}

/* Arguments by the signature of the call; `flags` and `name` are not at the same place in all. */
static __always_inline int on_syscall_enter(struct caller *caller, enum df_hook hook,
					    const struct call_args *args)
{
	struct data_args data = { args->a0, args->a1, args->a2, 0, 0, direction_of(hook) };

	if (is_of_files(hook)) {
		bool is_plain = hook == DF_HOOK_PREAD64 || hook == DF_HOOK_PWRITE64;
		bool is_sync = SYNC_HOOKS >> hook & 1;
		struct file_args file = { args->a0, is_plain ? args->a2 : 0,
					  is_sync ? 0 : args->a3 };

		return on_file_enter(caller, hook, &file, NULL);
	}
	if (hook == DF_HOOK_CLOSE)
		return on_close_enter(caller, args->a0);
	if (hook == DF_HOOK_CONNECT)
		return on_life_enter(caller, hook, args->a0, args->a1);
	if (hook == DF_HOOK_ACCEPT || hook == DF_HOOK_ACCEPT4)
		return on_life_enter(caller, hook, args->a0, 0);
	if (moves_unseen(hook)) {
		data.buf = 0;
		data.len = 0;
	}
	if (hook == DF_HOOK_SPLICE)
		data.fd = side_of_splice(caller, args, &data.direction);
	if (hook == DF_HOOK_SENDTO || hook == DF_HOOK_RECVFROM) {
		data.flags = args->a3;
		data.name = args->a4;
	} else if (takes_message(hook)) {
		data.flags = args->a2;
	} else if (takes_messages(hook)) {
		data.flags = args->a3;
	}
	return on_data_enter(caller, hook, &data);
}

/* The call that `thread` had under way has ended. */
static __always_inline int on_syscall_exit(struct caller *caller, struct thread *thread,
					   enum df_hook hook, s64 ret)
{
	bool is_on_file = thread->call.hook & CALL_ON_FILE;

	thread->call.hook = 0;
	if (is_on_file || is_of_files(hook))
		return on_file_exit(caller, thread, hook, ret);
	if (hook == DF_HOOK_CONNECT)
		return on_connect_exit(caller, thread, ret);
	if (hook == DF_HOOK_ACCEPT || hook == DF_HOOK_ACCEPT4)
		return on_accept_exit(caller, hook, ret);
	return on_data_exit(caller, thread, hook, ret);
}

/*
 * The thread if it has this call under way, NULL if not. A call that began before a rest may be another
 * one than that which ends now.
 */
static __always_inline struct thread *thread_leaving(u32 tid, enum df_hook hook)
{
	struct thread *thread = thread_find(tid);

	return thread && thread->tid == tid && (thread->call.hook & ~CALL_ON_FILE) == hook &&
			       likely(thread->watch == epoch_now(EPOCH_WATCH)) ?
		       thread :
		       NULL;
}
