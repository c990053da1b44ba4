/* SPDX-License-Identifier: GPL-2.0 */
/* Copies one message out of user memory into the ring, in records of at most DF_CHUNK_BYTES. */
#pragma once

#include "../lib/kernel.bpf.h"
#include "../maps/events.bpf.h"
#include "../maps/work.bpf.h"

/* Each step finishes a buffer or fills a record. */
#define CAPTURE_STEPS 64
#define CAPTURE_ROUNDS ((DF_IOVECS_MAX + DF_PAYLOAD_BYTES_MAX / DF_CHUNK_BYTES) / CAPTURE_STEPS + 1)

#define ASK_BYTES 4096

/* Sends what is in the payload as one record; false: the ring is full (counted). */
static __always_inline bool flush_record(struct work *work)
{
	u32 bytes = work->fill_bytes;
	u64 flags = BPF_RB_NO_WAKEUP;

	opaque(bytes);
	if (bytes > DF_CHUNK_BYTES)
		return false;
	work->data.payload_bytes = bytes;
	/* Asking how much waits costs as much as a helper: once in 4 KiB is enough. */
	work->unasked_bytes += sizeof(work->data) + bytes;
	if (unlikely(work->unasked_bytes > ASK_BYTES)) {
		work->unasked_bytes = 0;
		flags = wakeup_flags();
	}
	if (!emit(&work->data, sizeof(work->data) + bytes, flags))
		return false;
	work->data.offset_bytes += bytes;
	work->fill_bytes = 0;
	return true;
}

/* Goes to the next iovec; false: there is none or it cannot be read. */
static __always_inline bool next_buffer(struct work *work)
{
	struct iovec iov = {};

	if (!work->iov_left)
		return false;
	if (bpf_probe_read_user(&iov, sizeof(iov), (void *)work->iov)) {
		work->data.event.flags |= DF_FLAG_UNREADABLE;
		return false;
	}
	work->iov_left--;
	work->iov += sizeof(iov);
	work->base = iov.base;
	work->base_bytes = iov.bytes;
	return true;
}

/* Copies from the current buffer as much as it, the message and the record allow. */
static __always_inline bool copy_some(struct work *work)
{
	u32 fill = work->fill_bytes;
	u32 bytes = work->left_bytes;

	if (bytes > work->base_bytes)
		bytes = work->base_bytes;
	opaque(fill);
	fill &= DF_CHUNK_BYTES - 1;
	if (bytes > DF_CHUNK_BYTES - fill)
		bytes = DF_CHUNK_BYTES - fill;
	opaque(bytes);
	if (bytes > DF_CHUNK_BYTES)
		return false;
	if (bpf_probe_read_user(work->payload + fill, bytes, (void *)work->base)) {
		work->data.event.flags |= DF_FLAG_UNREADABLE;
		return false;
	}
	work->fill_bytes = fill + bytes;
	work->left_bytes -= bytes;
	work->base += bytes;
	work->base_bytes -= bytes;
	return true;
}

/*
 * Takes up to CAPTURE_STEPS steps of the message that this CPU's work describes; 1: no step is
 * left. A global function, as is capture(): the verifier walks its loop once, not once for each
 * call, and 17 times 64 steps cost it far less than 1088.
 */
__noinline int capture_steps(void)
{
	struct work *work = work_here();
	u32 step;

	if (!work)
		return 1;
	for (step = 0; step < CAPTURE_STEPS; step++) {
		if (!work->left_bytes)
			return 1;
		if (work->fill_bytes == DF_CHUNK_BYTES && !flush_record(work)) {
			work->lost = 1;
			return 1;
		}
		if (!work->base_bytes && !next_buffer(work))
			return 1;
		if (!copy_some(work))
			return 1;
	}
	return 0;
}

/* Copies the message that this CPU's work describes into the ring. */
__noinline int capture(void)
{
	struct work *work = work_here();
	u32 round;

	if (!work)
		return 0;
	work->lost = 0;
	for (round = 0; round < CAPTURE_ROUNDS; round++)
		if (capture_steps())
			break;
	if (work->lost)
		return 0;
	if (work->data.event.flags & DF_FLAG_UNREADABLE)
		count_drop(DF_DROP_PAYLOAD_UNREADABLE);
	work->data.event.flags |= DF_FLAG_LAST;
	flush_record(work);
	return 0;
}

/* As capture(), for the common message: one buffer that fits into one record. */
static __always_inline void capture_buffer(struct work *work)
{
	if (work->iov_left || work->left_bytes > work->base_bytes ||
	    work->left_bytes > DF_CHUNK_BYTES) {
		capture();
		return;
	}
	if (work->left_bytes && !copy_some(work))
		count_drop(DF_DROP_PAYLOAD_UNREADABLE);
	work->data.event.flags |= DF_FLAG_LAST;
	flush_record(work);
}
