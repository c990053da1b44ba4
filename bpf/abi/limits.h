/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Sizes that kernel code and user space must agree on, and what happens at each limit. */
#pragma once

#define DF_COMM_BYTES 16 /* TASK_COMM_LEN of the kernel; longer names are cut by the kernel */
#define DF_ADDR_BYTES 16 /* an IPv6 address; IPv4 fills the first four bytes */
#define DF_CGROUP_BYTES 96 /* cri-containerd-<64 digits>.scope and the like, with the final 0 */
#define DF_PATH_BYTES 256 /* a longer executable path is cut, the end is lost */

#define DF_MOUNT_SOURCE_BYTES 64 /* a longer name of what is mounted is cut, the end is lost */
/* Bytes of a file's path, its parts with a final 0 each. Of a longer one the upper parts are lost. */
#define DF_FILE_PATH_BYTES 768
#define DF_NAME_BYTES 256 /* NAME_MAX of the kernel, with the final 0 */

/* Payload bytes in one ring record. A longer system call makes several records in order. */
#define DF_CHUNK_BYTES 16384
/* Most payload bytes of one system call (or of one message of sendmmsg/recvmmsg); the loader
 * sets a lower limit if configured. What is beyond is not copied; its length is still told. */
#define DF_PAYLOAD_BYTES_MAX 131072
/* Buffers of one readv/writev/sendmsg/recvmsg that are copied: UIO_MAXIOV of the kernel. */
#define DF_IOVECS_MAX 1024
/* Messages of one sendmmsg/recvmmsg that are reported: UIO_MAXIOV of the kernel. */
#define DF_MESSAGES_MAX 1024
