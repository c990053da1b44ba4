//! Which programs make up each hook.
//!
//! In: nothing. Out: names in the object, tracepoints, numbers of system calls. Never: a hook
//! attached.

use super::super::event::Hook;
use super::super::sys;

/// Programs of a hook with their tracepoints. The exit stands first: no call is noted at its entry
/// without somebody who takes it at the exit.
pub const PROGRAMS: &[(Hook, &[Program])] = &[
    (Hook::Exec, &[("process_exec", "sched", "sched_process_exec")]),
    (Hook::Exit, &[("process_exit", "sched", "sched_process_exit")]),
    (Hook::Fork, &[("process_fork", "task", "task_newtask")]),
    (
        Hook::Accept,
        &[
            ("exit_accept", "syscalls", "sys_exit_accept"),
            ("enter_accept", "syscalls", "sys_enter_accept"),
        ],
    ),
    (
        Hook::Accept4,
        &[
            ("exit_accept4", "syscalls", "sys_exit_accept4"),
            ("enter_accept4", "syscalls", "sys_enter_accept4"),
        ],
    ),
    (
        Hook::Connect,
        &[
            ("exit_connect", "syscalls", "sys_exit_connect"),
            ("enter_connect", "syscalls", "sys_enter_connect"),
        ],
    ),
    (Hook::Close, &[("enter_close", "syscalls", "sys_enter_close")]),
    (
        Hook::Read,
        &[("exit_read", "syscalls", "sys_exit_read"), ("enter_read", "syscalls", "sys_enter_read")],
    ),
    (
        Hook::Write,
        &[
            ("exit_write", "syscalls", "sys_exit_write"),
            ("enter_write", "syscalls", "sys_enter_write"),
        ],
    ),
    (
        Hook::Readv,
        &[
            ("exit_readv", "syscalls", "sys_exit_readv"),
            ("enter_readv", "syscalls", "sys_enter_readv"),
        ],
    ),
    (
        Hook::Writev,
        &[
            ("exit_writev", "syscalls", "sys_exit_writev"),
            ("enter_writev", "syscalls", "sys_enter_writev"),
        ],
    ),
    (
        Hook::Sendto,
        &[
            ("exit_sendto", "syscalls", "sys_exit_sendto"),
            ("enter_sendto", "syscalls", "sys_enter_sendto"),
        ],
    ),
    (
        Hook::Recvfrom,
        &[
            ("exit_recvfrom", "syscalls", "sys_exit_recvfrom"),
            ("enter_recvfrom", "syscalls", "sys_enter_recvfrom"),
        ],
    ),
    (
        Hook::Sendmsg,
        &[
            ("exit_sendmsg", "syscalls", "sys_exit_sendmsg"),
            ("enter_sendmsg", "syscalls", "sys_enter_sendmsg"),
        ],
    ),
    (
        Hook::Recvmsg,
        &[
            ("exit_recvmsg", "syscalls", "sys_exit_recvmsg"),
            ("enter_recvmsg", "syscalls", "sys_enter_recvmsg"),
        ],
    ),
    (
        Hook::Sendmmsg,
        &[
            ("exit_sendmmsg", "syscalls", "sys_exit_sendmmsg"),
            ("enter_sendmmsg", "syscalls", "sys_enter_sendmmsg"),
        ],
    ),
    (
        Hook::Recvmmsg,
        &[
            ("exit_recvmmsg", "syscalls", "sys_exit_recvmmsg"),
            ("enter_recvmmsg", "syscalls", "sys_enter_recvmmsg"),
        ],
    ),
    (
        Hook::Pread64,
        &[
            ("exit_pread64", "syscalls", "sys_exit_pread64"),
            ("enter_pread64", "syscalls", "sys_enter_pread64"),
        ],
    ),
    (
        Hook::Pwrite64,
        &[
            ("exit_pwrite64", "syscalls", "sys_exit_pwrite64"),
            ("enter_pwrite64", "syscalls", "sys_enter_pwrite64"),
        ],
    ),
    (
        Hook::Preadv,
        &[
            ("exit_preadv", "syscalls", "sys_exit_preadv"),
            ("enter_preadv", "syscalls", "sys_enter_preadv"),
        ],
    ),
    (
        Hook::Pwritev,
        &[
            ("exit_pwritev", "syscalls", "sys_exit_pwritev"),
            ("enter_pwritev", "syscalls", "sys_enter_pwritev"),
        ],
    ),
    (
        Hook::Preadv2,
        &[
            ("exit_preadv2", "syscalls", "sys_exit_preadv2"),
            ("enter_preadv2", "syscalls", "sys_enter_preadv2"),
        ],
    ),
    (
        Hook::Pwritev2,
        &[
            ("exit_pwritev2", "syscalls", "sys_exit_pwritev2"),
            ("enter_pwritev2", "syscalls", "sys_enter_pwritev2"),
        ],
    ),
    (
        Hook::Sendfile64,
        &[
            ("exit_sendfile64", "syscalls", "sys_exit_sendfile64"),
            ("enter_sendfile64", "syscalls", "sys_enter_sendfile64"),
        ],
    ),
    (
        Hook::Splice,
        &[
            ("exit_splice", "syscalls", "sys_exit_splice"),
            ("enter_splice", "syscalls", "sys_enter_splice"),
        ],
    ),
    (
        Hook::Fsync,
        &[
            ("exit_fsync", "syscalls", "sys_exit_fsync"),
            ("enter_fsync", "syscalls", "sys_enter_fsync"),
        ],
    ),
    (
        Hook::Fdatasync,
        &[
            ("exit_fdatasync", "syscalls", "sys_exit_fdatasync"),
            ("enter_fdatasync", "syscalls", "sys_enter_fdatasync"),
        ],
    ),
    (Hook::IoUringEnter, &[("exit_io_uring_enter", "syscalls", "sys_exit_io_uring_enter")]),
];

/// Whether this kernel has the system call of a hook at all: two came with 4.6, one with 5.1.
pub fn is_there(hook: Hook) -> bool {
    let number = match hook {
        Hook::Preadv2 => libc::SYS_preadv2,
        Hook::Pwritev2 => libc::SYS_pwritev2,
        Hook::IoUringEnter => libc::SYS_io_uring_enter,
        _ => return true,
    };
    sys::has_call(number)
}

/// Program in the object, category and name of its tracepoint.
pub type Program = (&'static str, &'static str, &'static str);

/// Numbers of the system calls in the order of hooks, for the table that raw tracepoints use.
pub fn syscall_numbers() -> [(Hook, libc::c_long); 25] {
    [
        (Hook::Read, libc::SYS_read),
        (Hook::Write, libc::SYS_write),
        (Hook::Readv, libc::SYS_readv),
        (Hook::Writev, libc::SYS_writev),
        (Hook::Sendto, libc::SYS_sendto),
        (Hook::Recvfrom, libc::SYS_recvfrom),
        (Hook::Sendmsg, libc::SYS_sendmsg),
        (Hook::Recvmsg, libc::SYS_recvmsg),
        (Hook::Sendmmsg, libc::SYS_sendmmsg),
        (Hook::Recvmmsg, libc::SYS_recvmmsg),
        (Hook::Connect, libc::SYS_connect),
        (Hook::Accept, libc::SYS_accept),
        (Hook::Accept4, libc::SYS_accept4),
        (Hook::Close, libc::SYS_close),
        (Hook::Pread64, libc::SYS_pread64),
        (Hook::Pwrite64, libc::SYS_pwrite64),
        (Hook::Preadv, libc::SYS_preadv),
        (Hook::Pwritev, libc::SYS_pwritev),
        (Hook::Preadv2, libc::SYS_preadv2),
        (Hook::Pwritev2, libc::SYS_pwritev2),
        (Hook::Sendfile64, libc::SYS_sendfile),
        (Hook::Splice, libc::SYS_splice),
        (Hook::IoUringEnter, libc::SYS_io_uring_enter),
        (Hook::Fsync, libc::SYS_fsync),
        (Hook::Fdatasync, libc::SYS_fdatasync),
    ]
}
