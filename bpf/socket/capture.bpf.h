/* SPDX-License-Identifier: GPL-2.0 */
/* Copies one message out of user memory into the ring, in records of at most DF_CHUNK_BYTES. */
#pragma once

#include "../lib/caller.bpf.h"
#include "../lib/kernel.bpf.h"
#include "../maps/events.bpf.h"
#include "../maps/work.bpf.h"

/* Each step finishes a buffer or fills a record. */
#define CAPTURE_STEPS 64
#define CAPTURE_ROUNDS ((DF_IOVECS_MAX + DF_PAYLOAD_BYTES_MAX / DF_CHUNK_BYTES) / CAPTURE_STEPS + 1)

#define ASK_BYTES 4096

/* Sends what is in the payload as one record; false: the ring is full (counted). */
static __always_inline bool flush_record(void *ctx, struct work *work)
{
	/* 64 bits wide, so that the bound is on the very register that the helper gets. */
	u64 bytes = work->fill_bytes;
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
	if (!emit(ctx, &work->data, sizeof(work->data) + bytes, flags))
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
	u64 fill = work->fill_bytes;
	u64 bytes = work->left_bytes;

	if (bytes > work->base_bytes)
		bytes = work->base_bytes;
	opaque(fill);
	fill &= DF_CHUNK_BYTES - 1;
	if (bytes > DF_CHUNK_BYTES - fill)
		bytes = DF_CHUNK_BYTES - fill;
	opaque(bytes);
	/* It is from 1 to DF_CHUNK_BYTES; this says so to verifiers, of which some refuse a 0. */
	bytes = ((bytes - 1) & (DF_CHUNK_BYTES - 1)) + 1;
	opaque(bytes);
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

/* What one step of a copy led to. */
enum step {
	STEP_MORE = 0, /* there is more to do */
	STEP_DONE = 1, /* all is copied that can be; the last record is to be sent */
	STEP_LOST = 2, /* the ring was full: the rest of the message is not tried */
};

static __always_inline enum step capture_step(void *ctx, struct work *work)
{
	if (!work->left_bytes)
		return STEP_DONE;
	if (work->fill_bytes == DF_CHUNK_BYTES && !flush_record(ctx, work))
		return STEP_LOST;
	if (!work->base_bytes && !next_buffer(work))
		return STEP_DONE;
	/* An empty buffer between others. */
	if (!work->base_bytes)
		return STEP_MORE;
	return copy_some(work) ? STEP_MORE : STEP_DONE;
}

/* Sends the last record of a message. */
static __always_inline void capture_end(void *ctx, struct work *work)
{
	if (work->data.event.flags & DF_FLAG_UNREADABLE)
		count_drop(DF_DROP_PAYLOAD_UNREADABLE);
	work->data.event.flags |= DF_FLAG_LAST;
	flush_record(ctx, work);
}

#if HAVE_BOUNDED_LOOPS
/*
 * Takes up to CAPTURE_STEPS steps of the message that this CPU's work describes; 1: no step is
 * left. A global function, as is capture_all(): the verifier walks its loop once, not once for each
 * call, and 17 times 64 steps cost it far less than 1088.
 */
__noinline int capture_steps(void)
{
	struct work *work = work_here();
	u32 step;

	if (!work)
		return 1;
	for (step = 0; step < CAPTURE_STEPS; step++) {
		enum step led_to = capture_step(NULL, work);

		if (led_to == STEP_LOST)
			work->lost = 1;
		if (led_to != STEP_MORE)
			return 1;
	}
	return 0;
}

/* Copies the message that this CPU's work describes into the ring. */
__noinline int capture_all(void)
{
	struct work *work = work_here();
	u32 round;

	if (!work)
		return 0;
	work->lost = 0;
	for (round = 0; round < CAPTURE_ROUNDS; round++)
		if (capture_steps())
			break;
	if (!work->lost)
		capture_end(NULL, work);
	return 0;
}

static __always_inline void capture(struct caller *caller __attribute__((unused)),
				    struct work *work __attribute__((unused)))
{
	capture_all();
}
#else
/* Steps of one program; the kernel allows 32 programs after the first. */
#define TAIL_STEPS 12

/* Goes on with the message, and with those after it, in another program. Does not come back. */
static __always_inline void capture_on(struct caller *caller, struct work *work)
{
	bpf_tail_call(caller->ctx, caller->tails, TAIL_CAPTURE);
	/* The 33rd: what is copied is told, the rest counts as unreadable. */
	if (work->under_way) {
		work->data.event.flags |= DF_FLAG_UNREADABLE;
		capture_end(caller->ctx, work);
	} else {
		count_drop(DF_DROP_PAYLOAD_UNREADABLE);
	}
}

static __always_inline void capture(struct caller *caller, struct work *work)
{
	work->messages_left = 0;
	work->under_way = 1;
	capture_on(caller, work);
}
#endif

/* As capture(), for the common message: one buffer that fits into one record. */
static __always_inline void capture_buffer(struct caller *caller, struct work *work)
{
	if (work->iov_left || work->left_bytes > work->base_bytes ||
	    work->left_bytes > DF_CHUNK_BYTES) {
		capture(caller, work);
		return;
	}
	if (work->left_bytes && !copy_some(work))
		count_drop(DF_DROP_PAYLOAD_UNREADABLE);
	work->data.event.flags |= DF_FLAG_LAST;
	flush_record(caller->ctx, work);
}
