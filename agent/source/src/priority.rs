//! How much of a busy processor the agent claims beside the programs it watches.

use std::io;

/// The range of nice values (setpriority(2)).
pub const NICE: std::ops::RangeInclusive<i32> = -20..=19;

/// Sets the nice value of the calling thread, and of those it starts from now on: above 0 others go
/// first, and below, which needs CAP_SYS_NICE, they go last. The error is the kernel's.
#[allow(unsafe_code)]
pub fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: the call takes no memory.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_and_those_it_starts_step_back() {
        let nice_of = |task: &str| -> i32 {
            let stat = std::fs::read_to_string(format!("/proc/{task}/stat")).expect("own");
            // The 19th field (proc(5)); the second ends at the last parenthesis.
            let rest = stat.rsplit_once(')').expect("a name").1;
            rest.split_whitespace().nth(16).expect("fields").parse().expect("a number")
        };
        let before = nice_of("self");
        let inside = std::thread::spawn(move || {
            set_nice(19).expect("no right is needed for that");
            std::thread::spawn(move || nice_of("thread-self")).join().expect("ends")
        });
        assert_eq!(inside.join().expect("ends"), 19);
        assert_eq!(nice_of("self"), before, "others stay as they were");
    }
}
