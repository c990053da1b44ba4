/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The capture object: one thin wrapper for each hook, bodies in socket/ and process/.
 *
 * System calls are hooked at their tracepoints: the only mechanism that every kernel of the tier
 * offers (some have no kprobes, some refuse fentry), whose arguments need no pt_regs, so that the
 * object is the same for x86_64 and aarch64. Names have at most 15 characters.
 */
#include "abi/event.h"
#include "process/life.bpf.h"
#include "socket/data.bpf.h"
#include "socket/life.bpf.h"

char gpl[] SEC("license") = "GPL";

SEC("tracepoint/syscalls/sys_enter_read")
int enter_read(struct enter_ctx *ctx)
{
	struct data_args args = { ctx->args[0], ctx->args[1], ctx->args[2], 0, 0 };

	return on_data_enter(DF_HOOK_READ, DF_INGRESS, &args);
}

SEC("tracepoint/syscalls/sys_exit_read")
int exit_read(struct exit_ctx *ctx)
{
	return on_data_exit(DF_HOOK_READ, DF_INGRESS, SHAPE_BUFFER, ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_write")
int enter_write(struct enter_ctx *ctx)
{
	struct data_args args = { ctx->args[0], ctx->args[1], ctx->args[2], 0, 0 };

	return on_data_enter(DF_HOOK_WRITE, DF_EGRESS, &args);
}

SEC("tracepoint/syscalls/sys_exit_write")
int exit_write(struct exit_ctx *ctx)
{
	return on_data_exit(DF_HOOK_WRITE, DF_EGRESS, SHAPE_BUFFER, ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_readv")
int enter_readv(struct enter_ctx *ctx)
{
	struct data_args args = { ctx->args[0], ctx->args[1], ctx->args[2], 0, 0 };

	return on_data_enter(DF_HOOK_READV, DF_INGRESS, &args);
}

SEC("tracepoint/syscalls/sys_exit_readv")
int exit_readv(struct exit_ctx *ctx)
{
	return on_data_exit(DF_HOOK_READV, DF_INGRESS, SHAPE_VECTOR, ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_writev")
int enter_writev(struct enter_ctx *ctx)
{
	struct data_args args = { ctx->args[0], ctx->args[1], ctx->args[2], 0, 0 };

	return on_data_enter(DF_HOOK_WRITEV, DF_EGRESS, &args);
}

SEC("tracepoint/syscalls/sys_exit_writev")
int exit_writev(struct exit_ctx *ctx)
{
	return on_data_exit(DF_HOOK_WRITEV, DF_EGRESS, SHAPE_VECTOR, ctx->ret);
}

/* sendto(fd, buf, len, flags, addr, addrlen); send(2) is this with no address. */
SEC("tracepoint/syscalls/sys_enter_sendto")
int enter_sendto(struct enter_ctx *ctx)
{
	struct data_args args = { ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[4],
				  ctx->args[3] };

	return on_data_enter(DF_HOOK_SENDTO, DF_EGRESS, &args);
}

SEC("tracepoint/syscalls/sys_exit_sendto")
int exit_sendto(struct exit_ctx *ctx)
{
	return on_data_exit(DF_HOOK_SENDTO, DF_EGRESS, SHAPE_BUFFER, ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_recvfrom")
int enter_recvfrom(struct enter_ctx *ctx)
{
	struct data_args args = { ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[4],
				  ctx->args[3] };

	return on_data_enter(DF_HOOK_RECVFROM, DF_INGRESS, &args);
}

SEC("tracepoint/syscalls/sys_exit_recvfrom")
int exit_recvfrom(struct exit_ctx *ctx)
{
	return on_data_exit(DF_HOOK_RECVFROM, DF_INGRESS, SHAPE_BUFFER, ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_sendmsg")
int enter_sendmsg(struct enter_ctx *ctx)
{
	struct data_args args = { ctx->args[0], ctx->args[1], 0, 0, ctx->args[2] };

	return on_data_enter(DF_HOOK_SENDMSG, DF_EGRESS, &args);
}

SEC("tracepoint/syscalls/sys_exit_sendmsg")
int exit_sendmsg(struct exit_ctx *ctx)
{
	return on_data_exit(DF_HOOK_SENDMSG, DF_EGRESS, SHAPE_MESSAGE, ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_recvmsg")
int enter_recvmsg(struct enter_ctx *ctx)
{
	struct data_args args = { ctx->args[0], ctx->args[1], 0, 0, ctx->args[2] };

	return on_data_enter(DF_HOOK_RECVMSG, DF_INGRESS, &args);
}

SEC("tracepoint/syscalls/sys_exit_recvmsg")
int exit_recvmsg(struct exit_ctx *ctx)
{
	return on_data_exit(DF_HOOK_RECVMSG, DF_INGRESS, SHAPE_MESSAGE, ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_sendmmsg")
int enter_sendmmsg(struct enter_ctx *ctx)
{
	struct data_args args = { ctx->args[0], ctx->args[1], ctx->args[2], 0, ctx->args[3] };

	return on_data_enter(DF_HOOK_SENDMMSG, DF_EGRESS, &args);
}

SEC("tracepoint/syscalls/sys_exit_sendmmsg")
int exit_sendmmsg(struct exit_ctx *ctx)
{
	return on_data_exit(DF_HOOK_SENDMMSG, DF_EGRESS, SHAPE_MESSAGES, ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_recvmmsg")
int enter_recvmmsg(struct enter_ctx *ctx)
{
	struct data_args args = { ctx->args[0], ctx->args[1], ctx->args[2], 0, ctx->args[3] };

	return on_data_enter(DF_HOOK_RECVMMSG, DF_INGRESS, &args);
}

SEC("tracepoint/syscalls/sys_exit_recvmmsg")
int exit_recvmmsg(struct exit_ctx *ctx)
{
	return on_data_exit(DF_HOOK_RECVMMSG, DF_INGRESS, SHAPE_MESSAGES, ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_connect")
int enter_connect(struct enter_ctx *ctx)
{
	return on_connect_enter(ctx->args[0], ctx->args[1]);
}

SEC("tracepoint/syscalls/sys_exit_connect")
int exit_connect(struct exit_ctx *ctx)
{
	return on_connect_exit(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_accept")
int exit_accept(struct exit_ctx *ctx)
{
	return on_accept_exit(DF_HOOK_ACCEPT, ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int exit_accept4(struct exit_ctx *ctx)
{
	return on_accept_exit(DF_HOOK_ACCEPT4, ctx->ret);
}

SEC("tracepoint/syscalls/sys_enter_close")
int enter_close(struct enter_ctx *ctx)
{
	return on_close_enter(ctx->args[0]);
}

SEC("tracepoint/sched/sched_process_exec")
int process_exec(struct exec_ctx *ctx)
{
	return on_exec(ctx);
}

SEC("tracepoint/sched/sched_process_exit")
int process_exit(void *ctx __attribute__((unused)))
{
	return on_exit();
}
