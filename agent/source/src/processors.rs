//! Time of processors: what this process took, what nobody wanted, and how long tasks waited for one.
//!
//! In: the kernel's own counts. Out: totals since boot or start. Never: an average.

use std::io;
use std::path::Path;
use std::time::Duration;

/// USER_HZ, in which /proc/stat counts whatever the kernel's own rate is (proc(5)).
const NS_A_TICK: u64 = 10_000_000;

/// What all processors have done since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processors {
    /// Those that are on.
    pub count: u32,
    /// Time in which they had nothing to run. unit ns, of all together; resolution 10 ms
    pub idle_ns: u64,
    /// Time in which a task was ready to run on a processor and another one ran there: the mean of the
    /// processors, each weighed by the time in which it was wanted. None before 4.20, and where pressure
    /// is not accounted for (CONFIG_PSI, psi=0). unit ns
    pub waited_ns: Option<u64>,
}

/// Reads `/proc/stat` and `/proc/pressure/cpu`, or those of the host where they are mounted elsewhere.
pub fn read(proc_dir: &Path) -> io::Result<Processors> {
    let text = std::fs::read_to_string(proc_dir.join("stat"))?;
    let processors =
        parse(&text).ok_or_else(|| io::Error::other("/proc/stat has no line of all processors"))?;
    let pressure = std::fs::read_to_string(proc_dir.join("pressure/cpu"));
    let waited_ns = pressure.ok().and_then(|text| waited_ns(&text));
    Ok(Processors { waited_ns, ..processors })
}

/// Documentation/accounting/psi.rst: `some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS`.
fn waited_ns(pressure: &str) -> Option<u64> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = some.split_ascii_whitespace().find_map(|field| field.strip_prefix("total="))?;
    Some(total.parse::<u64>().ok()?.saturating_mul(1000))
}

fn parse(text: &str) -> Option<Processors> {
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let mut fields = all.split_ascii_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
    // user nice system idle iowait ...
    let idle = fields.nth(3)?.saturating_add(fields.next().unwrap_or(0));
    let is_one = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let count = u32::try_from(text.lines().filter(is_one).count()).ok()?;
    Some(Processors { count, idle_ns: idle.saturating_mul(NS_A_TICK), waited_ns: None })
}

/// Time that all threads of this process have run, in user space and in the kernel.
#[allow(unsafe_code)]
pub fn own_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a structure that lives through the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    match (done, u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) {
        (0, Ok(seconds), Ok(nanoseconds)) => Duration::new(seconds, nanoseconds),
        // The clock is there since 2.6.12.
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_that_of_all_processors() {
        let text = "cpu  100 5 50 2000 300 0 7 9 0 0\ncpu0 50 0 0 1 0\ncpu1 50 0 0 1 0\nintr 5\n";
        let wanted = Processors { count: 2, idle_ns: 23_000_000_000, waited_ns: None };
        assert_eq!(parse(text), Some(wanted));
        assert_eq!(parse("intr 5\n"), None);
        let here = read(Path::new("/proc")).expect("this host");
        assert!(here.count >= 1);
    }

    #[test]
    fn waiting_is_told_where_the_kernel_tells_it() {
        let text = "some avg10=0.22 avg60=0.17 avg300=1.11 total=62\nfull avg10=0.00 total=7\n";
        assert_eq!(waited_ns(text), Some(62_000));
        for text in ["", "full avg10=0.00 total=7\n", "some total=\n", "some avg10=1\n"] {
            assert_eq!(waited_ns(text), None, "{text:?}");
        }
    }

    #[test]
    fn work_takes_time() {
        let before = own_time();
        let mut number = 1u64;
        while own_time() - before < Duration::from_millis(5) {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(own_time() > before);
    }
}
