/* SPDX-License-Identifier: GPL-2.0 */
/* From a descriptor of the current task to its socket, and what the kernel knows of that. */
#pragma once

#include "../abi/event.h"
#include "kernel.bpf.h"

/* A socket of IPv4 or IPv6, found by its descriptor. */
struct sock_ref {
	u64 sk;
	u64 socket;
	u64 inode;
	u16 family;
	u8 tcp_state;
	u8 stream;
};

/* The file behind a descriptor of the current task, NULL if there is none. */
static __always_inline struct file *file_of(s32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct files_struct *files = NULL;
	struct fdtable *table = NULL;
	void **slots = NULL;
	struct file *file = NULL;

	if (fd < 0)
		return NULL;
	READ_FIELD(&files, task, files);
	READ_FIELD(&table, files, fdt);
	READ_FIELD(&slots, table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), slots + fd);
	return file;
}

/*
 * Whether `file` is a socket of IPv4 or IPv6; fills `ref`. A file that is no socket has another
 * thing or nothing in private_data: a socket points back to its file.
 */
static __always_inline bool sock_of_file(struct file *file, struct sock_ref *ref)
{
	struct socket *socket = NULL;
	struct file *back = NULL;
	struct sock *sk = NULL;
	struct {
		u16 family;
		u8 state;
		u8 pad;
	} head = {};
	short type = 0;
	unsigned long inode = 0;

	READ_FIELD(&socket, file, private_data);
	if (!socket)
		return false;
	READ_FIELD(&back, socket, file);
	if (back != file)
		return false;
	READ_FIELD(&sk, socket, sk);
	/* skc_state follows skc_family in every kernel (checked at load by has_sock_layout). */
	bpf_probe_read_kernel(&head, sizeof(head), &sk->__sk_common.skc_family);
	if (head.family != AF_INET && head.family != AF_INET6)
		return false;
	READ_FIELD(&type, socket, type);
	READ_FIELD(&inode, (struct socket_alloc *)socket, vfs_inode.i_ino);
	ref->sk = (u64)sk;
	ref->socket = (u64)socket;
	ref->inode = inode;
	ref->family = head.family;
	ref->tcp_state = head.state;
	ref->stream = type == SOCK_STREAM;
	return true;
}

static __always_inline bool sock_of_fd(s32 fd, struct sock_ref *ref)
{
	struct file *file = file_of(fd);

	return file && sock_of_file(file, ref);
}

/* Whether the descriptor being closed is the last that leads to `file`. */
static __always_inline bool is_last_reference(struct file *file)
{
	long references = 0;

	if (FIELD_EXISTS(struct file___ref, f_ref)) {
		READ_FIELD(&references, (struct file___ref *)file, f_ref);
		return references == 0;
	}
	READ_FIELD(&references, (struct file___count *)file, f_count);
	return references == 1;
}

/* Fills addresses and ports; the role stays. False: not TCP or UDP over IP. */
static __always_inline bool read_tuple(u64 sk_address, struct df_tuple *tuple, u16 *protocol)
{
	struct sock *sk = (void *)sk_address;
	struct sock_common *common = &sk->__sk_common;
	u16 family = 0;
	u16 remote_port = 0;

	READ_FIELD(&family, common, skc_family);
	READ_FIELD(protocol, sk, sk_protocol);
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
