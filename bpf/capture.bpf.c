/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The capture object: thin wrappers for each mechanism, bodies in socket/ and process/.
 *
 * System calls can be hooked in two ways, of which the loader takes one:
 *  - raw_enter and raw_exit on the raw tracepoints of all system calls, with BTF (5.11): cheaper
 *    for every call that is ours, dearer for one that is not (bpf/README.md has the numbers), and
 *    no tracefs is needed;
 *  - enter_<call> and exit_<call> on the tracepoint of each call, where the first is refused;
 *  - the same programs, called by all_enter and all_exit on the tracepoints raw_syscalls of all
 *    calls, where a call has none of its own or another program holds it (tiers without BTF);
 *  - fe_<call> and fx_<call> at the kernel's functions, where none of these can be had (same).
 * The others need no kprobes and none needs kprobes or fentry, which some kernels lack or forbid. Names have at most 15
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
	struct caller caller = { ids_by_btf(task), task->files->fdt->fd, NULL, NULL, 0 };

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
static __always_inline int enter_any(struct raw_enter_ctx *ctx,
				     bool is_first __attribute__((unused)))
{
	struct task_struct *task;
	u8 hook = hook_of(ctx->nr);

	if (!hook || hook == DF_HOOK_IO_URING_ENTER)
		return 0;
	task = bpf_get_current_task_btf();
	if ((u32)task->tgid == self_tgid || is_compat(task))
		return 0;
	return UNINTERRUPTED(enter_by_btf(task, hook, ctx->regs));
}

/* All system calls: leaves those that are not ours, and where none was stored at entry. */
static __always_inline int exit_any(struct raw_exit_ctx *ctx, bool is_first)
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
		return is_first && hook == DF_HOOK_IO_URING_ENTER ? count_operations(ctx->ret) :
								    0;
	caller.pid_tgid = ids_by_btf(task);
	if (!FIELD_EXISTS(struct pt_regs___x86, orig_ax))
		caller.g = ((struct pt_regs___arm64 *)ctx->regs)->regs[28];
	caller.files = task->files->fdt->fd;
	return UNINTERRUPTED(on_syscall_exit(&caller, thread, hook, ctx->ret));
}

/*
 * Each twice. Where a task can be interrupted in a program, the kernel does not run that program for
 * others of its CPU until the task goes on; then the second tells their calls. For all others the
 * second stores at entry what the first has stored, and finds nothing under way at exit.
 */
#define TWICE(name, context, body)             \
	SEC("tp_btf/sys_" #name)               \
	int raw_##name(struct context *ctx)    \
	{                                      \
		return body(ctx, true);        \
	}                                      \
	SEC("tp_btf/sys_" #name "_2")          \
	int raw_##name##_2(struct context *ctx) \
	{                                      \
		return body(ctx, false);       \
	}

TWICE(enter, raw_enter_ctx, enter_any)
TWICE(exit, raw_exit_ctx, exit_any)

/*
 * While raw_enter and raw_exit are detached: counts sends and receives where they are told from 6.3 on
 * (net/socket.c, commit 6e6eda44b939), at no cost for other calls.
 */
static __always_inline int pass_over(struct raw_length_ctx *ctx)
{
	u16 family = ctx->sk->__sk_common.skc_family;

	if ((s32)ctx->bytes > 0 && (family == AF_INET || family == AF_INET6) &&
	    (u32)bpf_get_current_task_btf()->tgid != self_tgid)
		passed_over();
	return 0;
}

SEC("tp_btf/sock_send_length")
int raw_sent(struct raw_length_ctx *ctx)
{
	return pass_over(ctx);
}

SEC("tp_btf/sock_recv_length")
int raw_received(struct raw_length_ctx *ctx)
{
	return pass_over(ctx);
}

SEC("tp_btf/sched_process_exec")
int raw_exec(struct raw_exec_ctx *ctx)
{
	return UNINTERRUPTED(on_exec(ctx, ctx->program->filename));
}

SEC("tp_btf/task_newtask")
int raw_fork(struct raw_fork_ctx *ctx)
{
	return UNINTERRUPTED(on_fork(ctx, ctx->task->pid, ctx->clone_flags));
}

SEC("tp_btf/sched_process_exit")
int raw_end(void *ctx)
{
	return UNINTERRUPTED(on_exit(ctx));
}
#endif

#if HAVE_BOUNDED_LOOPS
#define TAILS_OF_TRACEPOINTS NULL
#else
/*
 * tails: enum tail -> the program. Filled by the loader; read by the kernel. 16 bytes.
 */
MAP(tails, BPF_MAP_TYPE_PROG_ARRAY, TAILS, u32, u32);
#define TAILS_OF_TRACEPOINTS (&tails)

/* Goes on with what an exit began. */
SEC("tracepoint/capture_tail")
int capture_tail(void *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx,
				 TAILS_OF_TRACEPOINTS, 0 };

	return on_capture(&caller);
}

/* Tells a call on a file. */
SEC("tracepoint/file_tail")
int file_tail(void *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx,
				 TAILS_OF_TRACEPOINTS, 0 };

	return on_file_tail(&caller);
}
#endif

#if !HAVE_BTF
/*
 * enters, exits: number of a system call -> its program. Filled by the loader where the tracepoint
 * of a call cannot be had; read by the kernel. 4 KiB each.
 */
MAP(enters, BPF_MAP_TYPE_PROG_ARRAY, HOOK_NUMBERS, u32, u32);
MAP(exits, BPF_MAP_TYPE_PROG_ARRAY, HOOK_NUMBERS, u32, u32);

/* All system calls: ends in the program of the one that is beginning. */
SEC("tracepoint/raw_syscalls/sys_enter")
int all_enter(struct enter_ctx *ctx)
{
	if (ctx->nr < HOOK_NUMBERS && is_native_call())
		bpf_tail_call(ctx, &enters, ctx->nr);
	return 0;
}

/* All system calls: ends in the program of the one that is ending. */
SEC("tracepoint/raw_syscalls/sys_exit")
int all_exit(struct exit_ctx *ctx)
{
	if (ctx->nr < HOOK_NUMBERS && is_native_call())
		bpf_tail_call(ctx, &exits, ctx->nr);
	return 0;
}
#endif

/* Whether the agent rests from such calls. Connections are told on, so that their ends are known. */
static __always_inline bool rests(enum df_hook hook)
{
	return hook != DF_HOOK_CONNECT && hook != DF_HOOK_ACCEPT && hook != DF_HOOK_ACCEPT4 &&
	       hook != DF_HOOK_CLOSE && passed_over();
}

/* Entry of one system call at its own tracepoint. */
static __always_inline int enter_call(enum df_hook hook, struct enter_ctx *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx,
				 TAILS_OF_TRACEPOINTS, 0 };
	struct call_args args = { ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3],
				  ctx->args[4] };

	if (caller_tgid(&caller) == self_tgid || rests(hook))
		return 0;
	caller.files = files_by_helper();
	return on_syscall_enter(&caller, hook, &args);
}

/* Exit of one system call at its own tracepoint. */
static __always_inline int exit_call(enum df_hook hook, struct exit_ctx *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx,
				 TAILS_OF_TRACEPOINTS, 0 };
	struct thread *thread = thread_leaving(caller_tid(&caller), hook);

	if (!thread)
		return 0;
	if (hook == DF_HOOK_ACCEPT || hook == DF_HOOK_ACCEPT4)
		caller.files = files_by_helper();
	return on_syscall_exit(&caller, thread, hook, ctx->ret);
}

#if !HAVE_BTF
/*
 * tails_function: as `tails`, for programs at functions: the kernel wants one type. 16 bytes.
 */
MAP(tails_function, BPF_MAP_TYPE_PROG_ARRAY, TAILS, u32, u32);

SEC("kprobe/capture_tail")
int function_tail(void *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx, &tails_function, 0 };

	return on_capture(&caller);
}

SEC("kprobe/file_tail")
int function_file(void *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx, &tails_function, 0 };

	return on_file_tail(&caller);
}

/* Entry of the function of a system call. */
static __always_inline int enter_function(enum df_hook hook, struct function_regs *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx, &tails_function, 0 };
	struct call_args args = { ctx->a0, ctx->a1, ctx->a2, ctx->a3, ctx->a4 };

	if (caller_tgid(&caller) == self_tgid || rests(hook))
		return 0;
	if (args_in_memory) {
		struct syscall_regs *user = (void *)args.a0;

		READ_FIELD(&args.a0, user, a0);
		READ_FIELD(&args.a1, user, a1);
		READ_FIELD(&args.a2, user, a2);
		READ_FIELD(&args.a3, user, a3);
		READ_FIELD(&args.a4, user, a4);
	}
	caller.files = files_by_helper();
	return on_syscall_enter(&caller, hook, &args);
}

/* Exit of the function of a system call. */
static __always_inline int exit_function(enum df_hook hook, struct function_regs *ctx)
{
	struct caller caller = { bpf_get_current_pid_tgid(), NULL, ctx, &tails_function, 0 };
	struct thread *thread = thread_leaving(caller_tid(&caller), hook);

	if (!thread)
		return 0;
	if (hook == DF_HOOK_ACCEPT || hook == DF_HOOK_ACCEPT4)
		caller.files = files_by_helper();
	return on_syscall_exit(&caller, thread, hook, ctx->result);
}

#define ENTER_FUNCTION(name, hook)                      \
	SEC("kprobe/fe_" #name)                         \
	int fe_##name(struct function_regs *ctx)        \
	{                                               \
		return enter_function(hook, ctx);       \
	}
#define EXIT_FUNCTION(name, hook)                       \
	SEC("kretprobe/fx_" #name)                      \
	int fx_##name(struct function_regs *ctx)        \
	{                                               \
		return exit_function(hook, ctx);        \
	}

SEC("kretprobe/fx_io_uring_enter")
int fx_io_uring_enter(struct function_regs *ctx)
{
	return count_operations(ctx->result);
}

/* The end of setup_new_exec(): the process has its new name, but the path is not at hand. */
SEC("kretprobe/fx_exec")
int fx_exec(void *ctx)
{
	return on_exec(ctx, NULL);
}

/* exit_files(): the thread does not count as living any more. */
SEC("kprobe/fe_exit")
int fe_exit(void *ctx)
{
	return on_exit(ctx);
}

/* wake_up_new_task(child) */
SEC("kprobe/fe_fork")
int fe_fork(struct function_regs *ctx)
{
	struct task_struct *child = (void *)ctx->a0;
	u32 tid = 0;
	u32 tgid = 0;

	READ_FIELD(&tid, child, pid);
	READ_FIELD(&tgid, child, tgid);
	return on_fork(ctx, tid, tid == tgid ? 0 : CLONE_THREAD);
}
#else
#define ENTER_FUNCTION(name, hook)
#define EXIT_FUNCTION(name, hook)
#endif

/* The two programs of a system call on its tracepoints, and those at its function. */
#define CALL(name, hook)                                \
	ENTER_FUNCTION(name, hook)                      \
	EXIT_FUNCTION(name, hook)                       \
	SEC("tracepoint/syscalls/sys_enter_" #name)     \
	int enter_##name(struct enter_ctx *ctx)         \
	{                                               \
		return UNINTERRUPTED(enter_call(hook, ctx));           \
	}                                               \
	SEC("tracepoint/syscalls/sys_exit_" #name)      \
	int exit_##name(struct exit_ctx *ctx)           \
	{                                               \
		return UNINTERRUPTED(exit_call(hook, ctx));            \
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
CALL(pread64, DF_HOOK_PREAD64)
CALL(pwrite64, DF_HOOK_PWRITE64)
CALL(preadv, DF_HOOK_PREADV)
CALL(pwritev, DF_HOOK_PWRITEV)
CALL(preadv2, DF_HOOK_PREADV2)
CALL(pwritev2, DF_HOOK_PWRITEV2)
CALL(fsync, DF_HOOK_FSYNC)
CALL(fdatasync, DF_HOOK_FDATASYNC)
CALL(sendfile64, DF_HOOK_SENDFILE64)
CALL(splice, DF_HOOK_SPLICE)

/* Only its exit says how many operations the kernel took. */
SEC("tracepoint/syscalls/sys_exit_io_uring_enter")
int exit_io_uring_enter(struct exit_ctx *ctx)
{
	return UNINTERRUPTED(count_operations(ctx->ret));
}

ENTER_FUNCTION(close, DF_HOOK_CLOSE)

SEC("tracepoint/syscalls/sys_enter_close")
int enter_close(struct enter_ctx *ctx)
{
	return UNINTERRUPTED(enter_call(DF_HOOK_CLOSE, ctx));
}

SEC("tracepoint/sched/sched_process_exec")
int process_exec(struct exec_ctx *ctx)
{
	return UNINTERRUPTED(on_exec(ctx, exec_path(ctx)));
}

SEC("tracepoint/sched/sched_process_exit")
int process_exit(void *ctx)
{
	return UNINTERRUPTED(on_exit(ctx));
}

SEC("tracepoint/task/task_newtask")
int process_fork(struct fork_ctx *ctx)
{
	return UNINTERRUPTED(on_fork(ctx, ctx->pid, ctx->clone_flags));
}
