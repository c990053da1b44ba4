/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The container of the current task, by the name of its cgroup. A process that is gone before user
 * space can look into /proc has only this.
 */
#pragma once

#include "../lib/kernel.bpf.h"

/* A name that is shorter has no id of 64 digits in it. */
#define CONTAINER_ID_BYTES 64
/* Controllers that are looked at; kernels have 12 to 14. */
#define CONTROLLERS_MAX 16

/* Reads the name of a cgroup; whether a container's id may be in it. */
static __always_inline bool read_cgroup(struct cgroup *cgroup, char *name)
{
	struct kernfs_node *node = NULL;
	const char *text = NULL;

	READ_FIELD(&node, cgroup, kn);
	READ_FIELD(&text, node, name);
	return bpf_probe_read_kernel_str(name, DF_CGROUP_BYTES, text) > CONTAINER_ID_BYTES;
}

/* The same of the cgroup or of the one above it: a container may have cgroups of its own. */
static __always_inline bool read_cgroups(struct cgroup *cgroup, char *name)
{
	struct cgroup_subsys_state *above = NULL;
	struct cgroup *parent = NULL;

	if (read_cgroup(cgroup, name))
		return true;
	READ_FIELD(&above, cgroup, self.parent);
	READ_FIELD(&parent, above, cgroup);
	return read_cgroup(parent, name);
}

/*
 * Fills `name` (DF_CGROUP_BYTES), empty if the task is in no container: from the hierarchy of
 * version 2 first, then from those of version 1, of which a runtime need not use all.
 */
static __always_inline void read_container(char *name)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct css_set *set = NULL;
	struct cgroup *cgroup = NULL;
	u32 count = FIELD_BYTES(struct css_set, subsys) / sizeof(void *);

	READ_FIELD(&set, task, cgroups);
	READ_FIELD(&cgroup, set, dfl_cgrp);
	if (read_cgroups(cgroup, name))
		return;
	for (u32 n = 0; n < CONTROLLERS_MAX && n < count; n++) {
		struct cgroup_subsys_state *state = NULL;
		struct cgroup *before = cgroup;

		bpf_probe_read_kernel(&state, sizeof(state), &set->subsys[0] + n);
		READ_FIELD(&cgroup, state, cgroup);
		if (cgroup != before && read_cgroups(cgroup, name))
			return;
	}
	__builtin_memset(name, 0, DF_CGROUP_BYTES);
}
