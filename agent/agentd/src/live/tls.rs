//! The thread of TLS libraries: finds them in processes and hooks them.
//!
//! In: programs that were loaded, and processes that began to run something. Out: hooks that end
//! with the thread; a status. A library may be loaded long after a program began, so that each
//! program is looked at several times, and all of them now and then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use schema::metrics;
use source::tls::{Programs, TlsProbes};

use super::Shared;

/// Name on the status board.
const NAME: &str = "tls";
/// Processes that wait to be looked at; beyond, all are looked at.
const QUEUE: usize = 1024;
const PAUSE: Duration = Duration::from_millis(20);
/// When a process is looked at after it began to run a program.
const LOOKS: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(3_000)];
/// Looks in a row, so that a storm of processes costs no CPU.
const LOOKS_AT_ONCE: usize = 16;
/// Between two looks at all processes.
const ALL_EVERY: Duration = Duration::from_secs(30);

/// The running thread.
pub struct TlsWatch {
    began: SyncSender<u32>,
    overflowed: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TlsWatch {
    /// Starts it; `None`, with the reason on the board, where the programs cannot be used.
    pub fn start(shared: &Shared, programs: Result<Programs, String>) -> Option<Self> {
        let programs = match programs {
            Ok(programs) => programs,
            Err(error) => return tell_problem(shared, &error),
        };
        let (mechanism, reason) = (programs.mechanism(), programs.not_better());
        tracing::info!(mechanism, reason, "TLS libraries are hooked");
        let (began, queue) = sync_channel(QUEUE);
        let (overflowed, stop) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let worker = Worker {
            shared: shared.clone(),
            probes: TlsProbes::new(programs),
            queue,
            overflowed: Arc::clone(&overflowed),
            stop: Arc::clone(&stop),
            due: VecDeque::new(),
        };
        let thread = std::thread::Builder::new().name(NAME.to_owned()).spawn(|| worker.run());
        match thread {
            Ok(thread) => Some(Self { began, overflowed, stop, thread: Some(thread) }),
            Err(error) => tell_problem(shared, &format!("its thread cannot be started: {error}")),
        }
    }

    /// A process began to run a program. Never waits.
    pub fn on_exec(&self, tgid: u32) {
        if self.began.try_send(tgid).is_err() {
            self.overflowed.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for TlsWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of TLS libraries panicked");
        }
    }
}

fn tell_problem(shared: &Shared, error: &str) -> Option<TlsWatch> {
    tracing::warn!(error, "TLS is not read");
    let problem = format!("TLS is not read: {error}");
    shared.board.update(NAME, |status| status.problems = vec![problem]);
    None
}

struct Worker {
    shared: Shared,
    probes: TlsProbes,
    queue: Receiver<u32>,
    overflowed: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    /// When which process is looked at, and how often it was.
    due: VecDeque<(Instant, u32, usize)>,
}

impl Worker {
    fn run(mut self) {
        let mut last_all = self.look_at_all();
        tracing::info!(libraries = self.probes.reports().len(), "watching TLS libraries");
        while !self.stop.load(Ordering::Relaxed) {
            if let Ok(tgid) = self.queue.recv_timeout(PAUSE) {
                self.schedule(tgid, 0);
                while let Ok(tgid) = self.queue.try_recv() {
                    self.schedule(tgid, 0);
                }
            }
            let overflowed = self.overflowed.swap(false, Ordering::Relaxed);
            if overflowed || last_all.elapsed() >= ALL_EVERY {
                last_all = self.look_at_all();
            }
            self.look_at_due();
        }
    }

    fn schedule(&mut self, tgid: u32, look: usize) {
        let Some(delay) = LOOKS.get(look) else { return };
        if self.due.len() < QUEUE * LOOKS.len() {
            self.due.push_back((Instant::now() + *delay, tgid, look));
        }
    }

    fn look_at_due(&mut self) {
        let (mut looks, waiting) = (0, self.due.len());
        let now = Instant::now();
        let before = self.probes.hooked();
        for _ in 0..waiting {
            let Some((when, tgid, look)) = self.due.pop_front() else { break };
            if when > now || looks >= LOOKS_AT_ONCE {
                self.due.push_back((when, tgid, look));
                continue;
            }
            looks += 1;
            if self.probes.look_at(&self.shared.config.proc_dir, tgid) {
                self.schedule(tgid, look + 1);
            }
        }
        if self.probes.hooked() != before {
            self.tell();
        }
    }

    fn look_at_all(&mut self) -> Instant {
        self.probes.look_at_all(&self.shared.config.proc_dir, &|_| true);
        self.tell();
        Instant::now()
    }

    fn tell(&self) {
        let reports = self.probes.reports();
        let failed = reports.iter().filter(|report| !report.reason.is_empty());
        let problems = failed.map(|report| {
            format!("TLS of {} ({}): {}", report.path.display(), report.library, report.reason)
        });
        let problems: Vec<String> = problems.collect();
        self.shared.board.update(NAME, |status| {
            status.works = true;
            status.problems = problems;
            status.metrics = [(metrics::AGENT_TLS_LIBRARIES.name, reports.len() as f64)].into();
        });
    }
}
