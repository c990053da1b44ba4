/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a connection of Go's crypto/tls to its socket (docs/adr/0014).
 *
 * tls.Conn begins with the net.Conn that carries it, an interface; net.TCPConn is a pointer to a
 * netFD, which has the descriptor. None of it moved from Go 1.9 to 1.27. What is found counts only
 * if all that a netFD of a TCP connection says of itself is there, and if the kernel has a socket of
 * that kind at that descriptor.
 */
#pragma once

#include "../maps/tls.bpf.h"
#include "../socket/call.bpf.h"
#include "session.bpf.h"

/* net.netFD, which begins with a poll.FD: net/fd_unix.go, internal/poll/fd_unix.go. */
struct go_net_fd {
	u64 fdmu[2];
	s64 fd;
	u64 unused[3];
	u8 is_stream;
	u8 zero_read_is_eof;
	u8 flags[6];
	s64 family;
	s64 kind;
};

/* An interface that is not empty: its table, and what it holds. */
struct go_interface {
	u64 table;
	u64 data;
};

/* Interfaces that are followed: the connection's, and those of wrappers that begin with theirs. */
#define GO_WRAPPERS_MAX 3
#define GO_FD_MAX (1 << 20)

static __always_inline bool is_tcp_fd(const struct go_net_fd *net)
{
	return net->fd >= 0 && net->fd < GO_FD_MAX && net->is_stream == 1 &&
	       net->zero_read_is_eof == 1 && (net->family == AF_INET || net->family == AF_INET6) &&
	       net->kind == SOCK_STREAM;
}

/*
 * The netFD below a connection. What is at the beginning of the value in the interface is either
 * the pointer to a netFD, or, of a wrapper that embeds its net.Conn, the next interface.
 */
static __always_inline bool find_net_fd(u64 conn, struct go_net_fd *net)
{
	struct go_interface carrier = {};
	u64 at = 0;
	u32 depth;

#if !HAVE_BOUNDED_LOOPS
#pragma unroll
#endif
	for (depth = 0; depth < GO_WRAPPERS_MAX; depth++) {
		if (bpf_probe_read_user(&carrier, sizeof(carrier), (void *)conn) || !carrier.data)
			return false;
		if (bpf_probe_read_user(&at, sizeof(at), (void *)carrier.data))
			return false;
		if (!bpf_probe_read_user(net, sizeof(*net), (void *)at) && is_tcp_fd(net))
			return true;
		conn = carrier.data;
	}
	return false;
}

/* The stream socket of this family at a descriptor, by helpers alone. */
static __always_inline bool find_stream(s32 fd, u16 family, void *scratch, struct sock_ref *ref)
{
	void **files = files_by_helper();
	struct file *file = NULL;
	void *private = NULL;
	u16 found = 0;

	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	if (!file)
		return false;
	READ_FIELD(&private, file, private_data);
	if (!private || !read_socket((u64)private, file, scratch, ref) || !ref->stream)
		return false;
	READ_FIELD(&found, (struct sock *)ref->sk, __sk_common.skc_family);
	return found == family;
}

/* Fills in the socket of the call's connection, if it is certain. */
static __always_inline void fill_go_socket(struct tls_call *call)
{
	struct go_net_fd net = {};
	struct sock_ref ref = {};
	struct tls_work *own;

	if (!find_net_fd(call->session, &net))
		return;
	own = take_tls_work();
	if (!own)
		return;
	if (find_stream(net.fd, net.family, own->work.payload, &ref)) {
		call->sk = ref.sk;
		call->inode = ref.inode;
		call->fd = net.fd;
		call->tcp_seq = read_next_seq(ref.sk, tls_direction(call->hook));
	}
	give_tls_work(own);
}
