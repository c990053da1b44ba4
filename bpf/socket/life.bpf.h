/* SPDX-License-Identifier: GPL-2.0 */
/* The life of a socket: connect, accept, close. */
#pragma once

#include "../abi/event.h"
#include "call.bpf.h"
#include "entry.bpf.h"

static __always_inline void emit_socket(struct caller *caller, struct socket_entry *entry,
					u64 sk_address, enum df_event_kind kind,
					enum df_hook hook, s32 fd, u64 mono_ns, s32 result,
					u64 name)
{
	struct sock *sk = (void *)sk_address;
	struct df_socket record = {};
	struct net *net = NULL;

	fill_event(&record.event, kind, hook, caller->pid_tgid, fd, mono_ns);
	read_name(record.event.comm);
	record.tuple = entry->tuple;
	record.socket_id = entry->id;
	record.result = result;
	if (FIELD_EXISTS(struct sock_common, skc_net) && FIELD_EXISTS(struct net, ns)) {
		READ_FIELD(&net, sk, __sk_common.skc_net.net);
		READ_FIELD(&record.netns, net, ns.inum);
	}
	if (name && !record.tuple.remote_port)
		read_remote(name, &record.tuple);
	emit(caller->ctx, &record, sizeof(record), wakeup_flags());
}

/* Stores a connect, or an accept on a listening socket (name 0). */
static __always_inline int on_life_enter(struct caller *caller, enum df_hook hook, s32 fd,
					 u64 name)
{
	struct thread *thread = thread_before(caller);
	struct sock_ref ref = {};

	if (!sock_of_fd(caller, fd, thread, &ref))
		return 0;
	thread = thread_entering(caller, thread);
	if (!thread)
		return 0;
	store_sock(&thread->call, &ref);
	thread->call.mono_ns = bpf_ktime_get_ns();
	thread->call.name = name;
	thread->call.fd = fd;
	thread->call.hook = hook;
	return 0;
}

static __always_inline int on_connect_exit(struct caller *caller, struct thread *thread,
					   s64 ret)
{
	struct socket_entry *entry = entry_of(thread->call.sk, thread->call.inode);

	if (!entry)
		return 0;
	refresh_entry(entry, thread->call.sk);
	if (ret == 0 || ret == -EINPROGRESS)
		entry->tuple.role = DF_ROLE_CONNECT;
	entry->sent_seq = 0;
	entry->received_seq = 0;
	if (!entry->skipped)
		emit_socket(caller, entry, thread->call.sk, DF_EVENT_CONNECT, DF_HOOK_CONNECT,
			    thread->call.fd, thread->call.mono_ns, ret, thread->call.name);
	return 0;
}

/* A new descriptor came out of accept or accept4. */
static __always_inline int on_accept_exit(struct caller *caller, enum df_hook hook, s64 ret)
{
	struct socket_entry *entry;
	struct sock_ref ref = {};

	if (ret < 0 || !sock_of_fd(caller, ret, NULL, &ref))
		return 0;
	entry = entry_of(ref.sk, ref.inode);
	if (!entry || entry->skipped)
		return 0;
	entry->tuple.role = DF_ROLE_ACCEPT;
	emit_socket(caller, entry, ref.sk, DF_EVENT_ACCEPT, hook, ret, bpf_ktime_get_ns(), ret,
		    0);
	return 0;
}

/*
 * A descriptor is being closed. Only the last one of a socket ends it (fork and dup share it);
 * sockets that end with their process are told by its DF_EVENT_EXIT.
 */
static __always_inline int on_close_enter(struct caller *caller, s32 fd)
{
	struct file *file = file_of(caller->files, fd);
	struct work *work = work_here();
	struct socket_entry *entry;
	struct sock_ref ref = {};

	if (!file || !work || !sock_of_file(file, work->payload, &ref))
		return 0;
	entry = find_entry(ref.sk, ref.inode);
	if (!entry || !is_last_reference(file))
		return 0;
	if (!entry->skipped)
		emit_socket(caller, entry, ref.sk, DF_EVENT_CLOSE, DF_HOOK_CLOSE, fd,
			    bpf_ktime_get_ns(), 0, 0);
	bpf_map_delete_elem(&sockets, &ref.sk);
	return 0;
}
