/* SPDX-License-Identifier: GPL-2.0 */
/* From the numbers of a system call to the body of its hook. */
#pragma once

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

/* Arguments by the signature of the call; `flags` and `name` are not at the same place in all. */
static __always_inline int on_syscall_enter(struct caller *caller, enum df_hook hook,
					    const struct call_args *args)
{
	struct data_args data = { args->a0, args->a1, args->a2, 0, 0 };

	if (hook == DF_HOOK_CLOSE)
		return on_close_enter(caller, args->a0);
	if (hook == DF_HOOK_CONNECT)
		return on_life_enter(caller, hook, args->a0, args->a1);
	if (hook == DF_HOOK_ACCEPT || hook == DF_HOOK_ACCEPT4)
		return on_life_enter(caller, hook, args->a0, 0);
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
	thread->call.hook = 0;
	if (hook == DF_HOOK_CONNECT)
		return on_connect_exit(caller, thread, ret);
	if (hook == DF_HOOK_ACCEPT || hook == DF_HOOK_ACCEPT4)
		return on_accept_exit(caller, hook, ret);
	return on_data_exit(caller, thread, hook, ret);
}

/* The thread if it has this call under way, NULL if not. */
static __always_inline struct thread *thread_leaving(u32 tid, enum df_hook hook)
{
	struct thread *thread = thread_find(tid);

	return thread && thread->tid == tid && thread->call.hook == hook ? thread : NULL;
}
