/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's types, only the fields in use. The order and the gaps mean nothing: each access is
 * relocated at load to where the running kernel has the field (CO-RE). A name with a suffix
 * ___x is a flavour: the same kernel type as it was in other versions.
 */
#pragma once

#include "../abi/limits.h"
#include "bpf.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct llist_node {
	struct llist_node *next;
};

struct fdtable {
	void **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

/* Any of the kernel's counters that are a struct. */
struct atomic_value {
	int counter;
};

struct signal_struct {
	struct atomic_value live;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

struct nsproxy {
	struct net *net_ns;
};

struct kernfs_node {
	const char *name;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1]; /* as many as the kernel has controllers */
	struct cgroup *dfl_cgrp;
};

struct thread_info {
	unsigned long flags;
};

/* x86 has `status` beside `flags`; arm64 has not. */
struct thread_info___x86 {
	u32 status;
};

/* What the calling convention of the processor says of `struct pt_regs`; set by the loader. */
struct function_regs {
	u64 a0; /* arguments of a kernel function */
	u64 a1;
	u64 a2;
	u64 a3;
	u64 a4;
	u64 result;
};

/* Arguments of a system call in the user's registers. */
struct syscall_regs {
	u64 a0;
	u64 a1;
	u64 a2;
	u64 a3;
	u64 a4;
};

/* The kernel's stack of a task; the place of the registers is found by the loader. */
struct kernel_stack {
	u64 mode; /* x86: code segment, arm64: pstate of the interrupted user program */
};

struct task_struct {
	struct thread_info thread_info;
	struct kernel_stack *stack;
	struct files_struct *files;
	struct signal_struct *signal;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct css_set *cgroups;
	struct nsproxy *nsproxy;
	char comm[DF_COMM_BYTES];
	int pid;
	int tgid;
	int exit_code;
};

struct task_struct___x86 {
	struct thread_info___x86 thread_info;
};

struct linux_binprm {
	const char *filename;
};

struct pt_regs {
	unsigned long unused;
};

struct pt_regs___x86 {
	unsigned long di;
	unsigned long si;
	unsigned long dx;
	unsigned long r10;
	unsigned long r8;
	unsigned long orig_ax;
};

struct pt_regs___arm64 {
	u64 regs[31];
	s32 syscallno;
};

struct qstr {
	const char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct super_block {
	u32 s_dev;
	unsigned long s_magic;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	const char *mnt_devname;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	void *private_data;
	struct inode___file *f_inode;
	struct path f_path;
	s64 f_pos;
};

/* Up to 6.12: 1 for one reference. */
struct file___count {
	struct atomic_value f_count;
};

/* From 6.13 (commit 90ee6ed776c0): 0 for one reference. */
struct file___ref {
	struct atomic_value f_ref;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
};

/* The same behind a file; without BTF `inode` is where its number is. */
struct inode___file {
	unsigned short i_mode;
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct socket {
	short type;
	struct file *file;
	struct sock *sk;
};

struct socket_alloc {
	struct socket socket;
	struct inode vfs_inode;
};

struct in6_addr {
	u8 bytes[16];
};

struct possible_net {
	struct net *net;
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	u8 skc_state;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	struct possible_net skc_net;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
};

struct tcp_sock {
	u32 copied_seq;
	u32 write_seq;
};

#pragma clang attribute pop

/* User space types, fixed by the system call ABI of 64-bit kernels. */
struct iovec {
	u64 base;
	u64 bytes;
};

struct msghdr {
	u64 name;
	u32 name_bytes;
	u32 pad0;
	u64 iov;
	u64 iov_count;
	u64 control;
	u64 control_bytes;
	u32 flags;
	u32 pad1;
};

struct mmsghdr {
	struct msghdr header;
	u32 bytes;
	u32 pad;
};

struct sockaddr {
	u16 family;
	u16 port; /* network order */
	u8 rest[24]; /* AF_INET: address in 0..4; AF_INET6: flow 0..4, address 4..20 */
};

/* Contexts of syscall tracepoints: /sys/kernel/tracing/events/syscalls/<name>/format. */
struct enter_ctx {
	u64 opening;
	u64 nr;
	u64 args[6];
};

struct exit_ctx {
	u64 opening;
	u64 nr;
	s64 ret;
};

/* Contexts of the raw tracepoints sys_enter and sys_exit with BTF. */
struct raw_enter_ctx {
	struct pt_regs *regs;
	s64 nr;
};

struct raw_exit_ctx {
	struct pt_regs *regs;
	s64 ret;
};

/* Arguments of sock_send_length and sock_recv_length. */
struct raw_length_ctx {
	struct sock *sk;
	s64 bytes; /* of which 32 bits count; or -errno */
	s64 flags;
};

#define TS_COMPAT 2           /* x86: thread_info.status, a 32-bit system call */
#define TIF_32BIT (1UL << 22) /* arm64: thread_info.flags, a 32-bit task */
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define TCP_LISTEN 10
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define MSG_FASTOPEN 0x20000000
#define EINPROGRESS 115

#define FIELD_OFFSET(type, field) \
	__builtin_preserve_field_info(((type *)0)->field, 0 /* BPF_FIELD_BYTE_OFFSET */)
#define FIELD_BYTES(type, field) \
	__builtin_preserve_field_info(((type *)0)->field, 1 /* BPF_FIELD_BYTE_SIZE */)
#define FIELD_EXISTS(type, field) \
	__builtin_preserve_field_info(((type *)0)->field, 2 /* BPF_FIELD_EXISTS */)

/* Reads one relocated field; 0 when it worked. */
#define READ_FIELD(dst, ptr, field) \
	bpf_probe_read_kernel((dst), sizeof(*(dst)), &(ptr)->field)

/*
 * bpf_rdonly_cast, a kernel function from 6.2: makes an address one that the program may read
 * through by itself, at a nanosecond a field instead of a helper call (35 ns measured) each. Object
 * files cannot name kernel functions for aya 0.14: the call is marked by an impossible helper
 * number, and the loader puts the function's BTF id there and sets have_cast. Without it the
 * verifier never sees the call, since have_cast is constant.
 */
#define CAST_MARK 0x0df0ca57
static void *(*cast_at)(const void *address, u64 type_id) = (void *)CAST_MARK;

#define CAST(address, type) \
	((type *)cast_at((const void *)(address), __builtin_btf_type_id(*(type *)0, 1)))

/*
 * bpf_preempt_disable and bpf_preempt_enable, kernel functions from 6.10, marked alike. On a
 * preemptible kernel from 7.0 on a program can be interrupted by another task: that one's calls are
 * not told meanwhile (the kernel runs no program inside of itself on a CPU), and it would use the
 * same `works`. Where have_preempt is set `body` runs to its end first.
 */
#define PREEMPT_OFF_MARK 0x0df0ca58
#define PREEMPT_ON_MARK 0x0df0ca59
static void (*preempt_off_at)(void) __attribute__((unused)) = (void *)PREEMPT_OFF_MARK;
static void (*preempt_on_at)(void) __attribute__((unused)) = (void *)PREEMPT_ON_MARK;

#define UNINTERRUPTED(body)             \
	({                              \
		int done_;              \
                                        \
		if (have_preempt)       \
			preempt_off_at(); \
		done_ = (body);         \
		if (have_preempt)       \
			preempt_on_at(); \
		done_;                  \
	})
