/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The path of a file, from its end upwards: through folders to the root of a mount, then from where
 * that is mounted, to the root of the mount namespace.
 */
#pragma once

#include "../abi/event.h"
#include "../lib/kernel.bpf.h"
#include "../maps/work.bpf.h"

/* Parts and mounts that are looked at; a path that goes on above is told as cut. */
#define PATH_STEPS 64

/* Of places at which a name may begin. */
#define PATH_MASK 1023
_Static_assert(DF_FILE_PATH_BYTES - DF_NAME_BYTES <= PATH_MASK, "PATH_MASK");

/* The record of a file, in the payload of a work. */
struct file_record {
	struct df_file file;
	/* Room for more than is told, for the verifier. */
	char path[PATH_MASK + 1 + DF_NAME_BYTES];
};

_Static_assert(sizeof(struct file_record) <= sizeof(((struct work *)0)->payload), "file_record");

/* The mount around a vfsmount. */
static __always_inline u64 mount_of(u64 vfsmount)
{
	return vfsmount - FIELD_OFFSET(struct mount, mnt);
}

static __always_inline u64 read_root(u64 mount)
{
	struct dentry *root = NULL;

	READ_FIELD(&root, (struct mount *)mount, mnt.mnt_root);
	return (u64)root;
}

/* Ends the path; `flag`: what is missing of it. */
static __always_inline bool end_path(struct work *work, u32 flag)
{
	struct file_record *record = (void *)work->payload;

	record->file.event.flags |= flag;
	return false;
}

/* From the root of a mount to where it is mounted; false: there the path ends. */
static __always_inline bool leave_mount(struct work *work)
{
	struct path_walk *walk = &work->walk;
	struct mount *mount = (void *)walk->mount;
	struct mount *parent = NULL;
	struct dentry *place = NULL;

	READ_FIELD(&parent, mount, mnt_parent);
	if (!parent || parent == mount)
		return end_path(work, 0);
	READ_FIELD(&place, mount, mnt_mountpoint);
	if (!walk->is_above_mount) {
		walk->is_above_mount = 1;
		walk->mount_bytes = walk->bytes;
	}
	walk->mount = (u64)parent;
	walk->dentry = (u64)place;
	walk->root = read_root((u64)parent);
	return true;
}

/* Adds one name, or leaves one mount; false: the path is at its end. */
static __always_inline bool path_step(struct work *work)
{
	struct file_record *record = (void *)work->payload;
	struct path_walk *walk = &work->walk;
	struct dentry *dentry = (void *)walk->dentry;
	struct dentry *parent = NULL;
	const char *name = NULL;
	u64 at = walk->bytes;
	long bytes;

	if (walk->steps++ >= PATH_STEPS)
		return end_path(work, DF_FILE_PATH_CUT);
	if (walk->mount && walk->dentry == walk->root)
		return leave_mount(work);
	READ_FIELD(&parent, dentry, d_parent);
	/* The root of a file system, of which only a part is mounted here, or that is no more. */
	if (!parent || parent == dentry)
		return end_path(work, walk->mount ? DF_FILE_PATH_CUT : DF_FILE_NO_MOUNT);
	READ_FIELD(&name, dentry, d_name.name);
	opaque(at);
	if (at > DF_FILE_PATH_BYTES - DF_NAME_BYTES)
		return end_path(work, DF_FILE_PATH_CUT);
	/* This says so to verifiers that do not see it by a comparison (3.10). */
	opaque(at);
	at &= PATH_MASK;
	bytes = bpf_probe_read_kernel_str(record->path + at, DF_NAME_BYTES, name);
	if (bytes <= 1)
		return end_path(work, DF_FILE_PATH_CUT);
	walk->bytes = at + bytes;
	walk->dentry = (u64)parent;
	return true;
}

/* Begins at an open file; where mounts are not known the path ends with its file system. */
static __always_inline void begin_path(struct work *work, struct file *file)
{
	struct file_record *record = (void *)work->payload;
	struct path_walk *walk = &work->walk;
	struct dentry *dentry = NULL;
	struct vfsmount *mount = NULL;
	const char *source = NULL;

	READ_FIELD(&dentry, file, f_path.dentry);
	walk->dentry = (u64)dentry;
	walk->mount = 0;
	walk->root = 0;
	walk->bytes = 0;
	walk->mount_bytes = 0;
	walk->is_above_mount = 0;
	walk->steps = 0;
	record->file.source[0] = 0;
	if (!FIELD_EXISTS(struct mount, mnt_mountpoint))
		return;
	READ_FIELD(&mount, file, f_path.mnt);
	walk->mount = mount_of((u64)mount);
	walk->root = read_root(walk->mount);
	if (!FIELD_EXISTS(struct mount, mnt_devname))
		return;
	READ_FIELD(&source, (struct mount *)walk->mount, mnt_devname);
	bpf_probe_read_kernel_str(record->file.source, sizeof(record->file.source), source);
}
