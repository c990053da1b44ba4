/* SPDX-License-Identifier: GPL-2.0 */
/* Registers of a user's function at its entry and at its return, by the C calling convention. */
#pragma once

#include "../lib/kernel.bpf.h"

struct user_regs {
	u64 a0;
	u64 a1;
	u64 a2;
	u64 a3;
	u64 result;
	u64 stack; /* stack pointer */
};

#if HAVE_BTF
/* struct pt_regs begins so for user space and thus always: arch/x86/include/uapi/asm/ptrace.h. */
struct user_regs_x86 {
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs,
		flags, sp;
};

/* struct user_pt_regs: arch/arm64/include/uapi/asm/ptrace.h. */
struct user_regs_arm64 {
	u64 regs[31];
	u64 sp;
};

/*
 * Both branches read at constant places of the context. They end in different instructions, lest
 * the compiler merge them into one read at a place that varies, which verifiers refuse; in real
 * ones, since two lines of source at one instruction are refused, too.
 */
static __always_inline void read_regs(void *ctx, struct user_regs *regs)
{
	if (FIELD_EXISTS(struct pt_regs___x86, r10)) {
		struct user_regs_x86 *from = ctx;

		regs->a0 = from->di;
		regs->a1 = from->si;
		regs->a2 = from->dx;
		regs->a3 = from->cx;
		regs->result = from->ax;
		regs->stack = from->sp;
		asm volatile("%0 = %0" : "+r"(regs->stack)::"memory");
	} else {
		struct user_regs_arm64 *from = ctx;

		regs->a0 = from->regs[0];
		regs->a1 = from->regs[1];
		regs->a2 = from->regs[2];
		regs->a3 = from->regs[3];
		regs->result = from->regs[0];
		regs->stack = from->sp;
		asm volatile("%0 += 0" : "+r"(regs->stack)::"memory");
	}
}

/* Bytes by which a return moves the stack pointer: x86 has the address to return to there. */
static __always_inline u64 return_bytes(void)
{
	return FIELD_EXISTS(struct pt_regs___x86, r10) ? 8 : 0;
}
#else
/* Places in struct pt_regs, put in by the loader for its own architecture. */
struct called_regs {
	u64 a0;
	u64 a1;
	u64 a2;
	u64 a3;
	u64 result;
	u64 stack;
	u64 return_bytes;
} __attribute__((preserve_access_index));

static __always_inline void read_regs(void *ctx, struct user_regs *regs)
{
	struct called_regs *from = ctx;

	regs->a0 = from->a0;
	regs->a1 = from->a1;
	regs->a2 = from->a2;
	regs->a3 = from->a3;
	regs->result = from->result;
	regs->stack = from->stack;
}

static __always_inline u64 return_bytes(void)
{
	return FIELD_OFFSET(struct called_regs, return_bytes);
}
#endif
