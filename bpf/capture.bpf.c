/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The capture object: thin wrappers for each mechanism, bodies in socket/ and process/.
 *
 * System calls can be hooked in two ways, of which the loader takes one:
 *  - raw_enter and raw_exit on the raw tracepoints of all system calls, with BTF (5.11): cheaper
 *    for every call that is ours, dearer for one that is not (bpf/README.md has the numbers), and
 *    no tracefs is needed;
 *  - enter_<call> and exit_<call> on the tracepoint of each call, where the first is refused.
 * Neither needs kprobes or fentry, which some kernels lack or forbid. Names have at most 15
 * characters. The object is the same for x86_64 and aarch64.
 */
#include "abi/event.h"
#include "process/life.bpf.h"
#include "socket/syscall.bpf.h"
#include "tls/hooks.bpf.h"

char gpl[] SEC("license") = "GPL";

#if HAVE_BTF
static __always_inline int enter_by_btf(struct task_struct *task, enum df_hook hook,
					struct pt_regs *pt_regs)
{
	struct caller caller = { ids_by_btf(task), task->files->fdt->fd, NULL, NULL };

	if (FIELD_EXISTS(struct pt_regs___x86, r10)) {
		struct pt_regs___x86 *regs = (void *)pt_regs;
		struct call_args args = { regs->di, regs->si, regs->dx, regs->r10, regs->r8 };

		return on_syscall_enter(&caller, hook, &args);
	} else {
		struct pt_regs___arm64 *regs = (void *)pt_regs;
		struct call_args args = { regs->regs[0], regs->regs[1], regs->regs[2],
					  regs->regs[3], regs->regs[4] };

		return on_syscall_enter(&caller, hook, &args);
	}
}

/* The hook of a system call number, 0: none. */
static __always_inline u8 hook_of(u64 nr)
{
	return nr < HOOK_NUMBERS ? hook_of_nr[nr] : 0;
}

/* Number of the system call that is ending. */
static __always_inline u64 ending_nr(struct pt_regs *regs)
{
	if (FIELD_EXISTS(struct pt_regs___x86, orig_ax))
		return ((struct pt_regs___x86 *)regs)->orig_ax;
	return (u32)((struct pt_regs___arm64 *)regs)->syscallno;
}

/* All system calls: leaves those that are not ours after one load from a table. */
SEC("tp_btf/sys_enter")
int raw_enter(struct raw_enter_ctx *ctx)
{
	struct task_struct *task;
	u8 hook = hook_of(ctx->nr);

	if (!hook)
		return 0;
	task = bpf_get_current_task_btf();
	if ((u32)task->tgid == self_tgid || is_compat(task))
		return 0;
	return enter_by_btf(task, hook, ctx->regs);
}

/* All system calls: leaves those that are not ours, and where none was stored at entry. */
SEC("tp_btf/sys_exit")
int raw_exit(struct raw_exit_ctx *ctx)
{
	struct caller caller = {};
	struct task_struct *task;
	struct thread *thread;
	u8 hook = hook_of(ending_nr(ctx->regs));

	if (!hook)
		return 0;
	task = bpf_get_current_task_btf();
	thread = thread_leaving(task->pid, hook);
	if (!thread)
		return 0;
	caller.pid_tgid = ids_by_btf(task);
	caller.files = task->files->fdt->fd;
	return on_syscall_exit(&caller, thread, hook, ctx->ret);
}

SEC("tp_btf/sched_process_exec")
int raw_exec(struct raw_exec_ctx *ctx)
{
	return on_exec(ctx, ctx->program->filename);
}

SEC("tp_btf/task_newtask")
int raw_fork(struct raw_fork_ctx *ctx)
{
	return on_fork(ctx, ctx->task->pid, ctx->clone_flags);
}

SEC("tp_btf/sched_process_exit")
int raw_end(void *ctx)
{
	return on_exit(ctx);
}
#endif

#if HAVE_BOUNDED_LOOPS
#define TAILS_OF_TRACEPOINTS NULL
#else
/*
 * tails: enum tail -> the program. Filled by the loader; read by the kernel. 8 bytes.
 */
MAP(tails, BPF_MAP_TYPE_PROG_ARRAY, 1, u32, u32);
#define TAILS_OF_TRACEPOINTS (&tails)

/* Goes on with what an exit began. */
SEC("tracepoint/capture_tail")
int capture_tail(void *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx, TAILS_OF_TRACEPOINTS };

	return on_capture(&caller);
}
#endif

/* Entry of one system call at its own tracepoint. */
static __always_inline int enter_call(enum df_hook hook, struct enter_ctx *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx, TAILS_OF_TRACEPOINTS };
	struct call_args args = { ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3],
				  ctx->args[4] };

	if (caller_tgid(&caller) == self_tgid)
		return 0;
	caller.files = files_by_helper();
	return on_syscall_enter(&caller, hook, &args);
}

/* Exit of one system call at its own tracepoint. */
static __always_inline int exit_call(enum df_hook hook, struct exit_ctx *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx, TAILS_OF_TRACEPOINTS };
	struct thread *thread = thread_leaving(caller_tid(&caller), hook);

	if (!thread)
		return 0;
	if (hook == DF_HOOK_ACCEPT || hook == DF_HOOK_ACCEPT4)
		caller.files = files_by_helper();
	return on_syscall_exit(&caller, thread, hook, ctx->ret);
}

/* The two programs of a system call on its tracepoints. */
#define CALL(name, hook)                                \
	SEC("tracepoint/syscalls/sys_enter_" #name)     \
	int enter_##name(struct enter_ctx *ctx)         \
	{                                               \
		return enter_call(hook, ctx);           \
	}                                               \
	SEC("tracepoint/syscalls/sys_exit_" #name)      \
	int exit_##name(struct exit_ctx *ctx)           \
	{                                               \
		return exit_call(hook, ctx);            \
	}

CALL(read, DF_HOOK_READ)
CALL(write, DF_HOOK_WRITE)
CALL(readv, DF_HOOK_READV)
CALL(writev, DF_HOOK_WRITEV)
CALL(sendto, DF_HOOK_SENDTO)
CALL(recvfrom, DF_HOOK_RECVFROM)
CALL(sendmsg, DF_HOOK_SENDMSG)
CALL(recvmsg, DF_HOOK_RECVMSG)
CALL(sendmmsg, DF_HOOK_SENDMMSG)
CALL(recvmmsg, DF_HOOK_RECVMMSG)
CALL(connect, DF_HOOK_CONNECT)
CALL(accept, DF_HOOK_ACCEPT)
CALL(accept4, DF_HOOK_ACCEPT4)

SEC("tracepoint/syscalls/sys_enter_close")
int enter_close(struct enter_ctx *ctx)
{
	return enter_call(DF_HOOK_CLOSE, ctx);
}

SEC("tracepoint/sched/sched_process_exec")
int process_exec(struct exec_ctx *ctx)
{
	return on_exec(ctx, (void *)ctx + (ctx->filename_location & 0xffff));
}

SEC("tracepoint/sched/sched_process_exit")
int process_exit(void *ctx)
{
	return on_exit(ctx);
}

SEC("tracepoint/task/task_newtask")
int process_fork(struct fork_ctx *ctx)
{
	return on_fork(ctx, ctx->pid, ctx->clone_flags);
}
