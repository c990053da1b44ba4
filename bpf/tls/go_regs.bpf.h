/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a function of Go was given, and what it gives: by the calling convention of the program's
 * version (agent/source/src/tls/go/layout.rs chooses the programs by it).
 */
#pragma once

#include "../lib/goroutine.bpf.h"
#include "../lib/kernel.bpf.h"
#include "regs.bpf.h"

/* Of (*Conn).Read and .Write: func (c *Conn) f(b []byte) (n int, err error). */
struct go_regs {
	u64 conn;   /* at entry */
	u64 buf;    /* at entry */
	u64 result; /* at return */
	u64 g;      /* the goroutine, 0: not found */
	u64 stack;  /* stack pointer: at a return what it was at entry */
};

/* Places in the stack of what a function before Go 1.17 (arm64: 1.18) was given and gives. */
#define GO_STACK_CONN 8
#define GO_STACK_BUF 16
#define GO_STACK_RESULT 40
/* And of what runtime.newproc1 gives: 1.15 and 1.16. */
#define GO_STACK_BORN 48

#if HAVE_BTF
/* Both branches end in different instructions: see read_regs(). */
static __always_inline void read_go_regs(void *ctx, struct go_regs *regs)
{
	if (FIELD_EXISTS(struct pt_regs___x86, r10)) {
		struct user_regs_x86 *from = ctx;

		regs->conn = from->ax;
		regs->buf = from->bx;
		regs->result = from->ax;
		regs->g = from->r14;
		regs->stack = from->sp;
		asm volatile("%0 = %0" : "+r"(regs->stack)::"memory");
	} else {
		struct user_regs_arm64 *from = ctx;

		regs->conn = from->regs[0];
		regs->buf = from->regs[1];
		regs->result = from->regs[0];
		regs->g = from->regs[28];
		regs->stack = from->sp;
		asm volatile("%0 += 0" : "+r"(regs->stack)::"memory");
	}
}
#else
/* Places in struct pt_regs, put in by the loader for its own architecture. */
struct go_called_regs {
	u64 conn;
	u64 buf;
	u64 g;
	u64 stack;
} __attribute__((preserve_access_index));

static __always_inline void read_go_regs(void *ctx, struct go_regs *regs)
{
	struct go_called_regs *from = ctx;

	regs->conn = from->conn;
	regs->buf = from->buf;
	regs->result = from->conn;
	regs->g = from->g;
	regs->stack = from->stack;
}
#endif

/*
 * The same before Go 1.17: everything is in the stack, and on x86 the goroutine is what the
 * thread's storage has in its last word (runtime/tls_amd64.s).
 */
static __always_inline void read_go_stack(void *ctx, struct go_regs *regs)
{
	u64 base = read_fs_base();

	read_go_regs(ctx, regs);
	if (base)
		bpf_probe_read_user(&regs->g, sizeof(regs->g), (void *)(base - 8));
	bpf_probe_read_user(&regs->conn, sizeof(regs->conn), (void *)(regs->stack + GO_STACK_CONN));
	bpf_probe_read_user(&regs->buf, sizeof(regs->buf), (void *)(regs->stack + GO_STACK_BUF));
	bpf_probe_read_user(&regs->result, sizeof(regs->result),
			    (void *)(regs->stack + GO_STACK_RESULT));
}
