/* SPDX-License-Identifier: GPL-2.0 */
/* From a descriptor of the current task to its socket, and what the kernel knows of that. */
#pragma once

#include "../abi/event.h"
#include "config.bpf.h"
#include "kernel.bpf.h"

/* A socket of IPv4 or IPv6, found by its descriptor. */
struct sock_ref {
	u64 sk;
	u64 file;
	u64 socket;
	u64 inode;
	u8 tcp_state;
	u8 stream;
};

/* The file behind a descriptor, NULL if there is none. */
static __always_inline struct file *file_of(void **files, s32 fd)
{
	struct file *file = NULL;

	if (fd < 0)
		return NULL;
	if (have_cast)
		return (struct file *)CAST(files + fd, struct llist_node)->next;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

/* What is read of struct socket_alloc at once: as many bytes as its last field in use needs. */
#define SOCKET_BYTES 256

static __always_inline void read_socket_fields(struct socket *socket, struct file **back,
					       struct sock **sk, short *type, unsigned long *inode)
{
	READ_FIELD(back, socket, file);
	READ_FIELD(sk, socket, sk);
	READ_FIELD(type, socket, type);
	READ_FIELD(inode, (struct socket_alloc *)socket, vfs_inode.i_ino);
}

/*
 * Whether `socket` is the socket of `file`; fills all of `ref` but the state. What is no socket
 * does not point back to the file. The number of the inode tells sockets apart that lived at the
 * same address. `scratch` is SOCKET_BYTES long and not kept, or NULL.
 */
static __always_inline bool read_socket(u64 address, struct file *file, void *scratch,
					struct sock_ref *ref)
{
	const u64 at_inode = FIELD_OFFSET(struct socket_alloc, vfs_inode.i_ino);
	struct socket *socket = (void *)address;
	struct file *back = NULL;
	struct sock *sk = NULL;
	short type = 0;
	unsigned long inode = 0;

	/* The loader of a tier without BTF has seen to it that the inode is near enough. */
	if (!HAVE_BTF && at_inode > SOCKET_BYTES - 8)
		return false;
	if (!HAVE_BTF || (scratch && at_inode <= SOCKET_BYTES - 8)) {
		/* One long read is cheaper than four short ones. */
		u8 *bytes = scratch;

		if (bpf_probe_read_kernel(bytes, at_inode + 8, socket))
			return false;
		back = *(struct file **)(bytes + FIELD_OFFSET(struct socket, file));
		sk = *(struct sock **)(bytes + FIELD_OFFSET(struct socket, sk));
		type = *(short *)(bytes + FIELD_OFFSET(struct socket, type));
		inode = *(unsigned long *)(bytes + at_inode);
	} else {
		read_socket_fields(socket, &back, &sk, &type, &inode);
	}
	if (back != file)
		return false;
	ref->sk = (u64)sk;
	ref->file = (u64)file;
	ref->socket = address;
	ref->inode = inode;
	ref->stream = type == SOCK_STREAM;
	return true;
}

/* Reads the state of a sock; false: it is not one of IPv4 or IPv6. */
static __always_inline bool read_state(struct sock_ref *ref)
{
	struct sock *sk = (void *)ref->sk;
	struct {
		u16 family;
		u8 state;
		u8 pad;
	} head = {};

	/* skc_state follows skc_family in every kernel since 2.6.33. */
	bpf_probe_read_kernel(&head, sizeof(head), &sk->__sk_common.skc_family);
	ref->tcp_state = head.state;
	return head.family == AF_INET || head.family == AF_INET6;
}

/* As sock_of_file, without helpers. */
static __always_inline bool sock_of_file_cast(struct file *file, struct sock_ref *ref)
{
	void *private = CAST(file, struct file)->private_data;
	struct socket_alloc *alloc;
	struct sock *sk;
	u16 family;

	if (!private)
		return false;
	alloc = CAST(private, struct socket_alloc);
	if (alloc->socket.file != file)
		return false;
	sk = alloc->socket.sk;
	family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return false;
	ref->sk = (u64)sk;
	ref->file = (u64)file;
	ref->socket = (u64)private;
	ref->inode = alloc->vfs_inode.i_ino;
	ref->tcp_state = sk->__sk_common.skc_state;
	ref->stream = alloc->socket.type == SOCK_STREAM;
	return true;
}

/* Whether `file` is a socket of IPv4 or IPv6; fills `ref`. */
static __always_inline bool sock_of_file(struct file *file, void *scratch, struct sock_ref *ref)
{
	void *private = NULL;

	if (have_cast)
		return sock_of_file_cast(file, ref);
	READ_FIELD(&private, file, private_data);
	return private && read_socket((u64)private, file, scratch, ref) && read_state(ref);
}

/* Whether the descriptor being closed is the last that leads to `file`. */
static __always_inline bool is_last_reference(struct file *file)
{
	long references = 0;

	if (FIELD_EXISTS(struct file___ref, f_ref)) {
		READ_FIELD(&references, (struct file___ref *)file, f_ref);
		return references == 0;
	}
	if (!FIELD_EXISTS(struct file___count, f_count))
		return false;
	READ_FIELD(&references, (struct file___count *)file, f_count);
	return references == 1;
}

/* The protocol of a sock. Up to 5.5 it has a byte between bits that are something else's. */
static __always_inline u16 read_protocol(struct sock *sk)
{
	u16 protocol = 0;

	if (FIELD_BYTES(struct sock, sk_protocol) == 1)
		bpf_probe_read_kernel(&protocol, 1, &sk->sk_protocol);
	else
		READ_FIELD(&protocol, sk, sk_protocol);
	return protocol;
}

/* Fills addresses and ports; the role stays. False: not TCP or UDP over IP. */
static __always_inline bool read_tuple(u64 sk_address, struct df_tuple *tuple, u16 *protocol)
{
	struct sock *sk = (void *)sk_address;
	struct sock_common *common = &sk->__sk_common;
	u16 family = 0;
	u16 remote_port = 0;

	READ_FIELD(&family, common, skc_family);
	*protocol = read_protocol(sk);
	if (*protocol != IPPROTO_TCP && *protocol != IPPROTO_UDP && *protocol != IPPROTO_MPTCP)
		return false;
	READ_FIELD(&tuple->local_port, common, skc_num);
	READ_FIELD(&remote_port, common, skc_dport);
	tuple->remote_port = __builtin_bswap16(remote_port);
	tuple->protocol = *protocol == IPPROTO_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	if (family == AF_INET) {
		tuple->ip_version = 4;
		READ_FIELD((u32 *)tuple->local_addr, common, skc_rcv_saddr);
		READ_FIELD((u32 *)tuple->remote_addr, common, skc_daddr);
		return true;
	}
	if (!FIELD_EXISTS(struct sock_common, skc_v6_daddr))
		return false;
	tuple->ip_version = 6;
	READ_FIELD((struct in6_addr *)tuple->local_addr, common, skc_v6_rcv_saddr);
	READ_FIELD((struct in6_addr *)tuple->remote_addr, common, skc_v6_daddr);
	return family == AF_INET6;
}

/* Replaces the remote end by a sockaddr in user memory; for UDP sockets without a peer. */
static __always_inline void read_remote(u64 name, struct df_tuple *tuple)
{
	struct sockaddr address = {};

	if (bpf_probe_read_user(&address, sizeof(address), (void *)name) &&
	    bpf_probe_read_user(&address, 16, (void *)name))
		return;
	if (address.family == AF_INET) {
		__builtin_memset(tuple->remote_addr, 0, sizeof(tuple->remote_addr));
		__builtin_memcpy(tuple->remote_addr, address.rest, 4);
		if (tuple->ip_version == 6) {
			/* An IPv4 peer of an IPv6 socket: say it as the kernel does. */
			__builtin_memset(tuple->remote_addr, 0, 10);
			__builtin_memset(tuple->remote_addr + 10, 0xff, 2);
			__builtin_memcpy(tuple->remote_addr + 12, address.rest, 4);
		}
	} else if (address.family == AF_INET6) {
		__builtin_memcpy(tuple->remote_addr, address.rest + 4, 16);
	} else {
		return;
	}
	tuple->remote_port = __builtin_bswap16(address.port);
}
