/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Records of the ring buffer, kernel to user space.
 *
 * Every record opens with struct df_event; `kind` tells which struct it is. Integers are in host
 * order. Change a layout only together with DF_ABI_VERSION and agent/source/src/bpf/abi.rs: a test
 * there compares each offset with the BTF of the built object.
 */
#pragma once

#include "limits.h"

#define DF_ABI_VERSION 3

typedef unsigned char df_u8;
typedef unsigned short df_u16;
typedef unsigned int df_u32;
typedef int df_s32;
typedef unsigned long long df_u64;
typedef long long df_s64;

enum df_event_kind {
	DF_EVENT_DATA = 1,    /* struct df_data, then payload_bytes bytes */
	DF_EVENT_CONNECT = 2, /* struct df_socket */
	DF_EVENT_ACCEPT = 3,  /* struct df_socket */
	DF_EVENT_CLOSE = 4,   /* struct df_socket */
	DF_EVENT_EXEC = 5,    /* struct df_exec, then path_bytes bytes */
	DF_EVENT_EXIT = 6,    /* struct df_process */
	DF_EVENT_FORK = 7,    /* struct df_process */
	DF_EVENT_FILE = 8,    /* struct df_file, then path_bytes bytes */
};

/* Where a record was made. Ids are never reused. */
enum df_hook {
	DF_HOOK_READ = 1,
	DF_HOOK_WRITE = 2,
	DF_HOOK_READV = 3,
	DF_HOOK_WRITEV = 4,
	DF_HOOK_SENDTO = 5,
	DF_HOOK_RECVFROM = 6,
	DF_HOOK_SENDMSG = 7,
	DF_HOOK_RECVMSG = 8,
	DF_HOOK_SENDMMSG = 9,
	DF_HOOK_RECVMMSG = 10,
	DF_HOOK_CONNECT = 11,
	DF_HOOK_ACCEPT = 12,
	DF_HOOK_ACCEPT4 = 13,
	DF_HOOK_CLOSE = 14,
	DF_HOOK_EXEC = 15,
	DF_HOOK_EXIT = 16,
	DF_HOOK_FORK = 17,
	DF_HOOK_TLS_READ = 18,  /* plaintext that a TLS library gave to the process */
	DF_HOOK_TLS_WRITE = 19, /* plaintext that the process gave to a TLS library */
	DF_HOOK_PREAD64 = 20,
	DF_HOOK_PWRITE64 = 21,
	DF_HOOK_PREADV = 22,
	DF_HOOK_PWRITEV = 23,
	DF_HOOK_PREADV2 = 24,
	DF_HOOK_PWRITEV2 = 25,
	DF_HOOK_SENDFILE64 = 26, /* from a file to a socket: no payload is seen */
	DF_HOOK_SPLICE = 27,     /* between a socket and a pipe: no payload is seen */
	DF_HOOK_IO_URING_ENTER = 28, /* makes no record: operations are counted */
	DF_HOOK_FSYNC = 29,
	DF_HOOK_FDATASYNC = 30,
};

enum df_direction {
	DF_INGRESS = 1, /* the process received */
	DF_EGRESS = 2,  /* the process sent */
};

/* How this process got the socket. */
enum df_role {
	DF_ROLE_UNKNOWN = 0, /* it was there before the agent, or is an unconnected UDP socket */
	DF_ROLE_CONNECT = 1,
	DF_ROLE_ACCEPT = 2,
};

enum df_flag {
	DF_FLAG_LAST = 1,        /* last record of this system call or message */
	DF_FLAG_UNREADABLE = 2,  /* the payload ends early: user memory could not be read */
	DF_FLAG_SEQ_UNSURE = 4,  /* threads raced on the socket: tcp_seq may be another's */
	DF_FLAG_NO_SEQ = 8,      /* tcp_seq has no meaning (UDP, MPTCP) */
	DF_FLAG_NO_COPY = 16,    /* the bytes were in no memory of the process: MSG_TRUNC, sendfile */
	DF_FLAG_NO_CGROUP = 32,  /* EXEC: this tier cannot tell the cgroup */
};

/* The same of a record of a file. */
enum df_file_flag {
	DF_FILE_PATH_CUT = 1, /* the path goes on above its last part */
	DF_FILE_NO_MOUNT = 2, /* the path ends at the root of its file system */
	DF_FILE_VIRTUAL = 4,  /* what the kernel shows of itself, or in memory */
};

struct df_event {
	df_u8 kind;    /* enum df_event_kind */
	df_u8 version; /* DF_ABI_VERSION */
	df_u8 hook;    /* enum df_hook */
	df_u8 flags;   /* enum df_flag; FILE: enum df_file_flag */
	df_u32 tgid;   /* process, in the first pid namespace */
	df_u32 tid;    /* thread, in the first pid namespace */
	df_s32 fd;     /* -1: none */
	df_u64 mono_ns; /* CLOCK_MONOTONIC; sends: entry of the call, receives: its exit */
	char comm[DF_COMM_BYTES]; /* name of the process: its main thread's */
};

struct df_tuple {
	df_u8 local_addr[DF_ADDR_BYTES]; /* network order; all 0: not bound to one address */
	df_u8 remote_addr[DF_ADDR_BYTES]; /* network order */
	df_u16 local_port;
	df_u16 remote_port;
	df_u8 ip_version; /* 4 or 6; a v4-mapped address stays 6 here */
	df_u8 protocol;   /* IPPROTO_TCP or IPPROTO_UDP */
	df_u8 role;       /* enum df_role */
	df_u8 pad;
};

struct df_data {
	struct df_event event;
	struct df_tuple tuple;
	df_u64 socket_id;    /* unique while the agent runs */
	df_u64 trace_id;     /* links a request received to the requests it causes; 0: none */
	df_u64 coroutine_id; /* 0: not known */
	df_u32 cap_seq;      /* data calls on this socket so far, from 1 */
	df_u32 tcp_seq;      /* sequence number of the first byte of the call or message; of a
				TLS call: of the first byte that it could move encrypted */
	df_u32 message_bytes; /* length of the call's result or of the message */
	df_u32 offset_bytes; /* place of this record's payload in the message */
	df_u32 payload_bytes; /* bytes that follow this struct */
	df_u8 direction;     /* enum df_direction */
	df_u8 pad[3];
};

struct df_socket {
	struct df_event event;
	struct df_tuple tuple;
	df_u64 socket_id;
	df_s32 result; /* of the system call: 0 or a descriptor, or -errno (-EINPROGRESS) */
	df_u32 netns;  /* inode number of the socket's network namespace; 0: not known */
};

struct df_process {
	struct df_event event; /* FORK: tgid and tid are the child's, comm is the parent's */
	df_u32 parent_tgid;
	df_s32 exit_code; /* as of wait(2); EXEC, FORK: 0 */
	df_u32 netns;      /* EXEC: inode number of the network namespace; else 0 */
	df_u32 path_bytes; /* EXEC: bytes of the executable's path that follow */
};

struct df_exec {
	struct df_process process;
	char cgroup[DF_CGROUP_BYTES]; /* name with room for a container's id; empty: none */
};

/*
 * A call on a regular file that took long. The path follows from its end upwards: the name of the file,
 * of its folder and so on, each with its final 0, to the root of the mount namespace.
 */
struct df_file {
	struct df_event event; /* mono_ns: the call's exit */
	df_u64 trace_id;       /* of the request that the thread works on; 0: none */
	df_u64 coroutine_id;   /* 0: not known */
	df_u64 duration_ns;
	df_u64 offset_bytes;   /* where in the file the call began; fsync, fdatasync: 0 */
	df_u64 asked_bytes;    /* 0: a vector, which is not added up, or a call that moves none */
	df_s64 result;         /* bytes moved, or -errno */
	df_u64 inode;          /* its number in the file system */
	df_u32 device;         /* of the file system: major << 20 | minor */
	df_u32 magic;          /* of the file system, as statfs(2) has it */
	df_u32 path_bytes;     /* that follow this struct */
	df_u32 mount_bytes;    /* of them, those below the file's mount point */
	char source[DF_MOUNT_SOURCE_BYTES]; /* what is mounted, with a final 0; empty: not known */
};

_Static_assert(sizeof(struct df_event) == 40, "df_event");
_Static_assert(sizeof(struct df_tuple) == 40, "df_tuple");
_Static_assert(sizeof(struct df_data) == 128, "df_data");
_Static_assert(sizeof(struct df_socket) == 96, "df_socket");
_Static_assert(sizeof(struct df_process) == 56, "df_process");
_Static_assert(sizeof(struct df_exec) == 152, "df_exec");
_Static_assert(sizeof(struct df_file) == 176, "df_file");
