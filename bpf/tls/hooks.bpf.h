/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The programs of TLS libraries, attached by agent/source/src/tls to functions of each library and
 * program that has them: which to which is said there (library.rs, go/layout.rs).
 */
#pragma once

#include "data.bpf.h"
#include "go.bpf.h"
#include "go_birth.bpf.h"

#define TLS_ENTRY(name, hook, moved_at)                 \
	SEC("uprobe/" #name)                            \
	int name(void *ctx)                             \
	{                                               \
		struct user_regs regs;                  \
                                                        \
		read_regs(ctx, &regs);                  \
		return UNINTERRUPTED(on_tls_enter(&regs, hook, moved_at)); \
	}

/* int f(session, buffer, bytes): SSL_read, gnutls_record_recv and their like. */
TLS_ENTRY(tls_read, DF_HOOK_TLS_READ, 0)
TLS_ENTRY(tls_write, DF_HOOK_TLS_WRITE, 0)
/* int f(session, buffer, bytes, size_t *moved): SSL_read_ex, SSL_write_ex. */
TLS_ENTRY(tls_read_ex, DF_HOOK_TLS_READ, regs.a3)
TLS_ENTRY(tls_write_ex, DF_HOOK_TLS_WRITE, regs.a3)
/* Handshakes show the socket before the first byte of plaintext. */
TLS_ENTRY(tls_handshake, 0, 0)

SEC("uretprobe/tls_return")
int tls_return(void *ctx)
{
	struct user_regs regs;

	read_regs(ctx, &regs);
	return UNINTERRUPTED(on_tls_return(ctx, &regs));
}

/* SSL_free, SSL_clear, SSL_set_bio, gnutls_deinit: an address may then be another session's. */
SEC("uprobe/tls_forget")
int tls_forget(void *ctx)
{
	struct user_regs regs;

	read_regs(ctx, &regs);
	return UNINTERRUPTED(on_tls_forget(&regs));
}

/* A program for Go: `read` takes what it needs from where the version of the program has it. */
#define GO(name, read, act)               \
	SEC("uprobe/" #name)              \
	int name(void *ctx)               \
	{                                 \
		struct go_regs regs = {}; \
                                          \
		read(ctx, &regs);         \
		return UNINTERRUPTED(act); \
	}

/*
 * func (c *Conn) Read(b []byte) (n int, err error) of Go's crypto/tls, and Write; handshakes;
 * func newproc1(fn *funcval, callergp *g, ...) *g of its runtime. From Go 1.17 on (arm64: 1.18).
 */
GO(go_read, read_go_regs, on_go_enter(&regs, DF_HOOK_TLS_READ))
GO(go_write, read_go_regs, on_go_enter(&regs, DF_HOOK_TLS_WRITE))
GO(go_return, read_go_regs, on_go_return(ctx, &regs))
GO(go_handshake, read_go_regs, on_go_handshake(&regs))
GO(go_born, read_go_regs, on_go_birth(&regs, regs.result))
/* Before. */
GO(go_read_old, read_go_stack, on_go_enter(&regs, DF_HOOK_TLS_READ))
GO(go_write_old, read_go_stack, on_go_enter(&regs, DF_HOOK_TLS_WRITE))
GO(go_return_old, read_go_stack, on_go_return(ctx, &regs))
GO(go_shake_old, read_go_stack, on_go_handshake(&regs))
GO(go_born_old, read_go_stack, on_go_birth(&regs, read_born(&regs)))
