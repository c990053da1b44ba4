/* SPDX-License-Identifier: GPL-2.0 */
/* Reads, writes and syncs of files: those that take long are told. */
#pragma once

#include "../lib/goroutine.bpf.h"
#include "../maps/events.bpf.h"
#include "../socket/call.bpf.h"
#include "path.bpf.h"

/* The arguments of a call on a file. */
struct file_args {
	s32 fd;
	u64 len;   /* bytes, 0: a vector, or none */
	s64 place; /* in the file; -1: where the file is at */
};

#define PLAIN_FILE_HOOKS                                                                 \
	(1U << DF_HOOK_READ | 1U << DF_HOOK_WRITE | 1U << DF_HOOK_READV | 1U << DF_HOOK_WRITEV)
#define POSITIONED_HOOKS                                                                 \
	(1U << DF_HOOK_PREAD64 | 1U << DF_HOOK_PWRITE64 | 1U << DF_HOOK_PREADV |         \
	 1U << DF_HOOK_PWRITEV | 1U << DF_HOOK_PREADV2 | 1U << DF_HOOK_PWRITEV2)
#define SYNC_HOOKS (1U << DF_HOOK_FSYNC | 1U << DF_HOOK_FDATASYNC)

/* Whether a call is one of those that are made for files alone. */
static __always_inline bool is_of_files(enum df_hook hook)
{
	return (POSITIONED_HOOKS | SYNC_HOOKS) >> hook & 1;
}

/* Whether a call can be one on a file. */
static __always_inline bool works_on_files(enum df_hook hook)
{
	return (PLAIN_FILE_HOOKS | POSITIONED_HOOKS | SYNC_HOOKS) >> hook & 1;
}

/* Where a look costs next to nothing. */
static __always_inline bool is_plainly_no_file(struct file *file)
{
	return have_cast &&
	       (CAST(file, struct file)->f_inode->i_mode & S_IFMT) != S_IFREG;
}

/*
 * A call on what is no socket begins. Its time is taken if it may have to be told; what it works on is
 * looked at only when it took long. `thread`: the caller's entry if it was looked for.
 */
static __always_inline int on_file_enter(struct caller *caller, enum df_hook hook,
					 const struct file_args *args, struct thread *thread)
{
	struct file *file;
	struct call *call;

	if (!file_mode || !works_on_files(hook))
		return 0;
	if (!thread)
		thread = thread_find(caller_tid(caller));
	/* A goroutine's request is looked up when the call has taken long. */
	if (file_mode == FILES_OF_REQUESTS &&
	    (!thread || thread->tid != caller_tid(caller) ||
	     (!thread->trace_id && !thread->goid_at)))
		return 0;
	file = file_of(caller->files, args->fd);
	if (!file || is_plainly_no_file(file))
		return 0;
	thread = thread_entering(caller, thread);
	if (!thread)
		return 0;
	/* Not what says which socket was used last. */
	call = &thread->call;
	call->buf = (u64)file;
	call->len = args->len;
	call->name = args->place;
	call->flags = args->fd;
	call->hook = hook | CALL_ON_FILE;
	call->mono_ns = bpf_ktime_get_ns();
	return 0;
}

/* Files that are no storage: what the kernel shows of itself, and memory. */
static __always_inline bool is_virtual(u32 magic)
{
	switch (magic) {
	case 0x00009fa0: /* proc */
	case 0x62656572: /* sysfs */
	case 0x01021994: /* tmpfs */
	case 0x858458f6: /* ramfs */
	case 0x958458f6: /* hugetlbfs */
	case 0x64626720: /* debugfs */
	case 0x74726163: /* tracefs */
	case 0x0027e0eb: /* cgroup */
	case 0x63677270: /* cgroup2 */
	case 0x73636673: /* securityfs */
	case 0xf97cff8c: /* selinux */
	case 0xcafe4a11: /* bpf */
	case 0x19800202: /* mqueue */
	case 0x6165676c: /* pstore */
	case 0xde5e81e4: /* efivarfs */
	case 0x62656570: /* configfs */
	case 0x42494e4d: /* binfmt_misc */
	case 0x09041934: /* anonymous inodes */
	case 0x50495045: /* pipefs */
		return true;
	default:
		return false;
	}
}

/* Fills in whose call it was; false: of no request, where those alone are told. */
static __always_inline bool fill_request(struct df_file *record, struct thread *thread, u64 g)
{
	struct go_trace *trace;
	struct goroutine key = {};

	record->trace_id = thread->trace_id;
	record->coroutine_id = 0;
	if (thread->goid_at) {
		record->coroutine_id = read_goid(read_g(g), thread->goid_at);
		key.goid = record->coroutine_id;
		key.tgid = record->event.tgid;
		trace = bpf_map_lookup_elem(&go_traces, &key);
		record->trace_id = trace && trace->watch == thread->watch ? trace->id : 0;
	}
	return record->trace_id || file_mode != FILES_OF_REQUESTS;
}

/* Fills in what was read or written; false: nothing of which is to be told. */
static __always_inline bool fill_file(struct df_file *record, struct call *call,
				      struct file *file, s64 result)
{
	struct super_block *super = NULL;
	struct inode___file *inode = NULL;
	unsigned long magic = 0;
	u16 mode = 0;
	s64 place = call->name;

	READ_FIELD(&inode, file, f_inode);
	READ_FIELD(&mode, inode, i_mode);
	if ((mode & S_IFMT) != S_IFREG)
		return false;
	READ_FIELD(&super, inode, i_sb);
	READ_FIELD(&magic, super, s_magic);
	if (is_virtual(magic)) {
		if (!file_virtual)
			return false;
		record->event.flags |= DF_FILE_VIRTUAL;
	}
	record->magic = magic;
	READ_FIELD(&record->device, super, s_dev);
	READ_FIELD((unsigned long *)&record->inode, inode, i_ino);
	if (place < 0) {
		READ_FIELD(&place, file, f_pos);
		if (result > 0)
			place -= result;
	}
	record->offset_bytes = place;
	record->asked_bytes = call->len;
	record->result = result;
	return true;
}

/* Begins the record of the call that this CPU's work describes; false: it is not told. */
static __always_inline bool begin_file(struct work *work)
{
	struct file_record *record = (void *)work->payload;
	u64 pid_tgid = bpf_get_current_pid_tgid();
	struct thread *thread = thread_find((u32)pid_tgid);
	struct call *call;
	struct file *file;

	if (!thread)
		return false;
	call = &thread->call;
	file = file_of(files_by_helper(), (s32)call->flags);
	/* Another one, or none: the descriptor was closed meanwhile. */
	if (!file || (u64)file != call->buf)
		return false;
	fill_event(&record->file.event, DF_EVENT_FILE, work->file_hook, pid_tgid,
		   (s32)call->flags, work->ended_ns);
	fill_comm(&record->file.event, thread, work->ended_ns);
	record->file.duration_ns = work->ended_ns - call->mono_ns;
	if (!fill_request(&record->file, thread, work->g) ||
	    !fill_file(&record->file, call, file, work->result))
		return false;
	begin_path(work, file);
	return true;
}

/* Puts the finished record into the ring. */
static __always_inline void emit_file(void *ctx, struct work *work)
{
	struct file_record *record = (void *)work->payload;
	u64 bytes = work->walk.bytes;

	opaque(bytes);
	if (bytes > DF_FILE_PATH_BYTES)
		return;
	record->file.path_bytes = bytes;
	record->file.mount_bytes =
		work->walk.is_above_mount ? work->walk.mount_bytes : (u32)bytes;
	emit(ctx, record, sizeof(record->file) + bytes, wakeup_flags());
}

#if HAVE_BOUNDED_LOOPS
/* Tells the call that this CPU's work describes. Global: verified once, for all who call it. */
__noinline int tell_file(void)
{
	struct work *work = work_here();
	u32 step;

	if (!work || !begin_file(work))
		return 0;
	for (step = 0; step <= PATH_STEPS; step++)
		if (!path_step(work))
			break;
	emit_file(NULL, work);
	return 0;
}

static __always_inline void tell(struct caller *caller __attribute__((unused)))
{
	tell_file();
}
#else
/* Steps of one program. */
#define PATH_STEPS_AT_ONCE 12

/* Goes on in the program `tails[TAIL_FILE]`. Does not come back; if it does, nothing is told. */
static __always_inline void tell(struct caller *caller)
{
	bpf_tail_call(caller->ctx, caller->tails, TAIL_FILE);
	count_drop(DF_DROP_PAYLOAD_UNREADABLE);
}

static __always_inline int on_file_tail(struct caller *caller)
{
	struct work *work = work_here();
	bool more = true;
	u32 step;

	if (!work)
		return 0;
	if (!work->is_file_begun) {
		if (!begin_file(work))
			return 0;
		work->is_file_begun = 1;
	}
#pragma unroll
	for (step = 0; step < PATH_STEPS_AT_ONCE; step++) {
		if (more)
			more = path_step(work);
	}
	if (more)
		tell(caller);
	else
		emit_file(caller->ctx, work);
	return 0;
}
#endif

/* A call on a file has ended. */
static __always_inline int on_file_exit(struct caller *caller, struct thread *thread,
					enum df_hook hook, s64 result)
{
	u64 now_ns = bpf_ktime_get_ns();
	struct work *work;

	if (likely(now_ns - thread->call.mono_ns < file_min_ns))
		return 0;
	work = work_here();
	if (!work)
		return 0;
	work->ended_ns = now_ns;
	work->result = result;
	work->g = caller->g;
	work->file_hook = hook;
	work->is_file_begun = 0;
	tell(caller);
	return 0;
}
