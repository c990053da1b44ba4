//! Loads the object that is built into this crate.
//!
//! In: settings. Out: a `BpfSource` with its hooks attached, of the newest tier that the kernel takes.
//! Never: an object with offsets of the build machine, as aya would load it in silence.

use std::ops::RangeInclusive;
use std::os::fd::AsFd;

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, ProgramArray};
use aya::programs::{ProgramFd, TracePoint};
use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel};

use super::hooks::{self, HookReport, Mechanism, Told};
use super::infer;
use super::kernel_functions::KernelFunctions;
use super::peek::Peek;
use super::perf::PerfRings;
use super::probe_events;
use super::relocate::{Offsets, relocate};
use super::reorder::Reorder;
use super::requirements::{self, Requirement};
use super::rest::Hooks;
use super::ring::Ring;
use super::settings;
use super::sys;
use super::tracefs::TraceFs;
use super::{
    BpfConfig, BpfCounters, BpfError, BpfSource, Clock, FileMode, Hook, Reader, Tier, chain,
    map_error, next_epoch,
};
use crate::tls::Goroutines;

/// The object's bytes, aligned for the ELF reader.
#[repr(C, align(16))]
pub(super) struct Aligned<T: ?Sized>(pub(super) T);

pub(super) static OBJECT_V510: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/capture_v510.o")));

pub(super) static OBJECT_V310: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/capture_v310.o")));

pub(super) static PEEK_V310: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/peek_v310.o")));

include!(concat!(env!("OUT_DIR"), "/digests.rs"));

/// Slots of the `threads` map at most.
const THREAD_SLOTS_MAX: u32 = 65_536;
/// Threads in a call of a TLS library at once, and sessions whose sockets are known.
const TLS_CALLS: u32 = 8192;
/// Goroutines that have received something.
const GO_TRACES: u32 = 32_768;
/// Goroutines in a call of crypto/tls at once: each connection has one that waits for data.
const GO_CALLS: u32 = 16_384;
const TLS_SESSIONS: u32 = 32_768;
/// System call numbers that the object's table holds.
const HOOK_NUMBERS: usize = 512;
/// Words of the `ports` map before the denied ones.
const DENIED_FIRST_WORD: u32 = 1024;

/// See `BpfSource::load`.
pub fn load(config: &BpfConfig) -> Result<(BpfSource, Vec<HookReport>), BpfError> {
    requirements::privileges().map_err(|why| missing("privileges", why))?;
    requirements::lockdown().map_err(|why| missing("kernel lockdown", why))?;
    requirements::bpf_call().map_err(|why| missing("bpf(2)", why))?;
    sys::want_true_version();
    if let Ok(tracefs) = TraceFs::open() {
        probe_events::sweep(&tracefs);
    }
    let newest = match config.tier {
        Some(Tier::V310) => Err("the configuration says so".to_owned()),
        Some(Tier::V510) => return load_v510(config).map(|loaded| (loaded.0, loaded.1)),
        None => requirements::btf().and_then(|()| requirements::ring_buffer()),
    };
    let why_older = match newest {
        Ok(()) => match load_v510(config) {
            Ok(loaded) => return Ok(loaded),
            Err(error) => error.to_string(),
        },
        Err(why) => why,
    };
    tracing::info!(reason = why_older, "system calls are watched by programs of the oldest tier");
    load_v310(config, &why_older)
}

/// The tier with BTF and a ring buffer.
fn load_v510(config: &BpfConfig) -> Result<(BpfSource, Vec<HookReport>), BpfError> {
    requirements::btf().map_err(|why| missing("kernel BTF", why))?;
    let btf = Btf::from_sys_fs().map_err(|error| {
        BpfError::Load(format!("the kernel's BTF is damaged: {}", chain(&error)))
    })?;
    let mut object = load_object(config, &btf)?;
    let Map::RingBuf(events) = map_of(&mut object, "events")? else {
        return Err(BpfError::Load("the map events is not a ring".to_owned()));
    };
    let ring = Ring::new(events, config.ring_bytes_valid() as usize)
        .map_err(|source| BpfError::Io { what: "ring", source })?;
    let kind = Loaded {
        tier: Tier::V510,
        offsets: "kernel BTF",
        why_older: String::new(),
        told: Told::default(),
        files: Ok(()),
    };
    assemble(config, object, Reader::Ring(ring), Some(btf), kind)
}

/// The tier for kernels without BTF: offsets are found out, settings are put into the programs.
fn load_v310(
    config: &BpfConfig,
    why_older: &str,
) -> Result<(BpfSource, Vec<HookReport>), BpfError> {
    requirements::perf_events().map_err(|why| missing("perf_event_open(2)", why))?;
    let refuse = |error: String| {
        BpfError::Load(format!("{error}; the newer programs cannot be used: {why_older}"))
    };
    let mut offsets = infer::infer(|| Peek::open(&PEEK_V310.0))
        .map_err(|error| refuse(format!("the kernel's fields were not found: {error}")))?;
    // Functions are the last way, and a kernel with tracepoints that takes one program each (up to
    // 4.14) is older than this: elsewhere the long list of symbols need not be read.
    let wrapped = (config.mechanism == Mechanism::Function
        || requirements::syscall_tracepoints().is_err())
        && hooks::are_wrapped();
    let mut config = config.clone();
    let mut files = infer::files_known(&offsets);
    if files.is_err() {
        config.files.mode = FileMode::Off;
    }
    let mut opened = open_v310(&config, wrapped, &mut offsets);
    if let Err(error) = &opened
        && config.files.mode != FileMode::Off
    {
        // What belongs to files may be what this kernel refuses.
        files = Err(error.clone());
        config.files.mode = FileMode::Off;
        opened = open_v310(&config, wrapped, &mut offsets);
    }
    let mut object = opened.map_err(refuse)?;
    let Map::PerfEventArray(events) = map_of(&mut object, "events")? else {
        return Err(BpfError::Load("the map events is not a perf event array".to_owned()));
    };
    let rings = PerfRings::new(events, config.ring_bytes_valid() as usize)
        .map_err(|source| BpfError::Io { what: "rings", source })?;
    let kind = Loaded {
        tier: Tier::V310,
        offsets: "inference",
        why_older: why_older.to_owned(),
        told: Told { mode_known: offsets.get("kernel_stack", "mode").is_some(), wrapped },
        files,
    };
    assemble(&config, object, Reader::Perf(rings), None, kind)
}

/// The object of that tier with these settings.
fn open_v310(config: &BpfConfig, wrapped: bool, offsets: &mut Offsets) -> Result<Ebpf, String> {
    settings::put(config, wrapped, offsets);
    let required = [infer::REQUIRED, infer::REQUIRED_SOCKETS].concat();
    let bytes = relocate(&OBJECT_V310.0, offsets, &required)?;
    let cpus = sys::possible_cpus();
    let mut loader = EbpfLoader::new();
    loader
        .btf(None)
        .verifier_log_level(VerifierLogLevel::DEBUG | VerifierLogLevel::STATS)
        .map_max_entries("events", cpus)
        .map_max_entries("threads", thread_slots())
        .map_max_entries("works", cpus)
        .map_max_entries("sockets", config.sockets_max.max(64))
        .map_max_entries("tls_calls", tls_entries(config, TLS_CALLS))
        .map_max_entries("go_calls", if config.go { GO_CALLS } else { 1 })
        .map_max_entries("go_traces", if config.go { GO_TRACES } else { 1 })
        .map_max_entries("go_origins", if config.go { GO_TRACES } else { 1 })
        .map_max_entries("tls_sockets", tls_entries(config, TLS_SESSIONS))
        .map_max_entries("tls_works", tls_entries(config, cpus * 2));
    let mut object = loader.load(&bytes).map_err(|error| chain(&error))?;
    fill_tails(&mut object, config.files.mode != FileMode::Off)?;
    Ok(object)
}

/// What was loaded, and why it is not the newest.
struct Loaded {
    tier: Tier,
    offsets: &'static str,
    why_older: String,
    told: Told,
    /// Why calls on files cannot be told here.
    files: Result<(), String>,
}

/// The programs that others end in, by `enum tail` of bpf/lib/caller.bpf.h.
fn fill_tails(object: &mut Ebpf, with_files: bool) -> Result<(), String> {
    let names = ["capture_tail", "file_tail"];
    for (index, name) in names.into_iter().take(1 + usize::from(with_files)).enumerate() {
        let program: &mut TracePoint = object
            .program_mut(name)
            .ok_or_else(|| format!("the object has no {name}"))?
            .try_into()
            .map_err(|error| format!("program {name}: {error}"))?;
        program.load().map_err(|error| hooks::refusal(name, &error))?;
        let program = program.fd().and_then(|fd| fd.try_clone().map_err(Into::into));
        let program = program.map_err(|error| format!("program {name}: {error}"))?;
        set_tail(object, "tails", index as u32, &program)?;
    }
    Ok(())
}

/// Puts a loaded program into a table of programs that others end in.
pub(super) fn set_tail(
    object: &mut Ebpf,
    map: &str,
    index: u32,
    program: &ProgramFd,
) -> Result<(), String> {
    let tails = object.map_mut(map).ok_or_else(|| format!("the object has no map {map}"))?;
    let mut tails = ProgramArray::try_from(tails).map_err(|error| chain(&error))?;
    tails.set(index, program, 0).map_err(|error| format!("map {map}: {}", chain(&error)))
}

fn map_of(object: &mut Ebpf, name: &str) -> Result<Map, BpfError> {
    object.take_map(name).ok_or_else(|| BpfError::Load(format!("the object has no map {name}")))
}

/// Fills the maps of a loaded object and attaches its hooks.
fn assemble(
    config: &BpfConfig,
    mut object: Ebpf,
    ring: Reader,
    btf: Option<Btf>,
    kind: Loaded,
) -> Result<(BpfSource, Vec<HookReport>), BpfError> {
    let mut tls =
        (config.tls || config.go).then(|| crate::tls::Programs::load(&mut object, config));
    let tls_counts = counters(&mut object, "tls_counts")?;
    let drops = counters(&mut object, "drops")?;
    let ring_operations = counters(&mut object, "ring_operations")?;
    let what = "excluded processes";
    let mut excluded: HashMap<MapData, u32, u8> =
        HashMap::try_from(map_of(&mut object, "excluded")?).map_err(map_error(what))?;
    for &tgid in &config.excluded_tgids {
        excluded.insert(tgid, 1, 0).map_err(map_error(what))?;
    }
    let epochs = map_of(&mut object, "epochs")?;
    if let (Some(Ok(programs)), Map::Array(data)) = (&mut tls, &epochs) {
        let fd = data.fd().as_fd().try_clone_to_owned();
        let fd = fd.map_err(|source| BpfError::Io { what, source })?;
        let processes = map_of(&mut object, "go_processes")?;
        let processes = HashMap::try_from(processes).map_err(map_error("programs of Go"))?;
        programs.set_goroutines(Goroutines::new(processes, fd));
    }
    let mut epochs: Array<MapData, u32> = Array::try_from(epochs).map_err(map_error(what))?;
    epochs.set(0, next_epoch(), 0).map_err(map_error(what))?;
    let resting = Array::try_from(map_of(&mut object, "resting")?).map_err(map_error("resting"))?;
    let mut ports =
        Array::try_from(map_of(&mut object, "ports")?).map_err(map_error("port filter"))?;
    fill_ports(&mut ports, 0, &config.ports_allowed)?;
    fill_ports(&mut ports, DENIED_FIRST_WORD, &config.ports_denied)?;

    let wakeup = sys::WakeupWait::new(&ring.fds())
        .map_err(|source| BpfError::Io { what: "ring wait", source })?;
    let wanted = |hook| is_wanted(config, hook);
    let mut attached =
        hooks::attach(&mut object, btf.as_ref(), config.mechanism, kind.told, &wanted);
    let mut reports = std::mem::take(&mut attached.reports);
    drop(btf);
    if let Err(why) = &kind.files {
        hooks::explain_files(&mut reports, why);
    }
    if attached.is_empty() {
        return Err(BpfError::NothingAttached(reports));
    }
    let hold_ns = u64::try_from(config.reorder_hold.as_nanos()).unwrap_or(u64::MAX);
    let source = BpfSource {
        hooks: Hooks::new(attached, resting),
        wakeup,
        ring,
        drops,
        tls_counts,
        ring_operations,
        tls,
        excluded,
        epochs,
        reorder: Reorder::new(hold_ns, config.reorder_bytes_max),
        clock: Clock::new(),
        counters: BpfCounters::default(),
        tier: kind.tier,
        offsets: kind.offsets,
        why_older: kind.why_older,
        files: kind.files,
        object,
    };
    sys::trim_heap();
    Ok((source, reports))
}

/// A map of counters, one a CPU.
fn counters(object: &mut Ebpf, name: &str) -> Result<PerCpuArray<MapData, u64>, BpfError> {
    PerCpuArray::try_from(map_of(object, name)?).map_err(map_error("counters"))
}

fn missing(feature: &'static str, why_not: String) -> BpfError {
    let known = requirements::requirements().into_iter().find(|one| one.feature == feature);
    let how_to_get = known.map_or("", |one| one.how_to_get);
    BpfError::Missing(Requirement { feature, works: false, why_not, how_to_get })
}

fn load_object(config: &BpfConfig, btf: &Btf) -> Result<Ebpf, BpfError> {
    let cpus = sys::possible_cpus();
    let slots = thread_slots();
    let self_tgid = if config.trace_self { 0 } else { std::process::id() };
    let payload_bytes_max = config.payload_bytes_valid();
    let thread_mask = slots - 1;
    let ports_allowed_on = u32::from(!config.ports_allowed.is_empty());
    let ports_denied_on = u32::from(!config.ports_denied.is_empty());
    let id_base = id_base();
    let ring_bytes = config.ring_bytes_valid();
    let wakeup_bytes = ring_bytes / 8;

    let file_mode = config.files.mode_number();
    let file_min_ns = config.files.min_ns();
    let file_virtual = u32::from(config.files.virtual_files);
    let hook_of_nr = hook_table(config);
    let mut bytes = OBJECT_V510.0.to_vec();
    let functions = KernelFunctions::link(&mut bytes, btf);
    let have_cast = u32::from(functions.cast);
    let have_preempt = u32::from(functions.uninterrupted);
    // `new` reads the kernel's BTF once more and hides a failure: `btf` replaces that one.
    let mut loader = EbpfLoader::new();
    loader
        .btf(Some(btf))
        .verifier_log_level(VerifierLogLevel::STATS)
        .override_global("self_tgid", &self_tgid, true)
        .override_global("payload_bytes_max", &payload_bytes_max, true)
        .override_global("thread_mask", &thread_mask, true)
        .override_global("ports_allowed_on", &ports_allowed_on, true)
        .override_global("ports_denied_on", &ports_denied_on, true)
        .override_global("id_base", &id_base, true)
        .override_global("id_stride", &cpus, true)
        .override_global("wakeup_bytes", &wakeup_bytes, true)
        .override_global("file_mode", &file_mode, true)
        .override_global("file_min_ns", &file_min_ns, true)
        .override_global("file_virtual", &file_virtual, true)
        .override_global("have_cast", &have_cast, true)
        .override_global("have_preempt", &have_preempt, true)
        .override_global("hook_of_nr", &hook_of_nr[..], true)
        .map_max_entries("events", ring_bytes)
        .map_max_entries("threads", slots)
        .map_max_entries("works", cpus)
        .map_max_entries("sockets", config.sockets_max.max(64))
        .map_max_entries("tls_calls", tls_entries(config, TLS_CALLS))
        .map_max_entries("go_calls", if config.go { GO_CALLS } else { 1 })
        .map_max_entries("go_traces", if config.go { GO_TRACES } else { 1 })
        .map_max_entries("go_origins", if config.go { GO_TRACES } else { 1 })
        .map_max_entries("tls_sockets", tls_entries(config, TLS_SESSIONS))
        .map_max_entries("tls_works", tls_entries(config, cpus * 2));
    loader.load(&bytes).map_err(|error| BpfError::Load(chain(&error)))
}

/// Entries of a map that only TLS needs.
fn tls_entries(config: &BpfConfig, entries: u32) -> u32 {
    if config.tls || config.go { entries } else { 1 }
}

/// Whether a hook is to be attached.
fn is_wanted(config: &BpfConfig, hook: Hook) -> bool {
    let is_of_use = !hook.is_of_files() || config.files.mode != FileMode::Off;
    is_of_use && !config.hooks_off.contains(&hook)
}

/// Hook of each system call number, 0: none.
fn hook_table(config: &BpfConfig) -> [u8; HOOK_NUMBERS] {
    let mut table = [0; HOOK_NUMBERS];
    for (hook, number) in hooks::syscall_numbers() {
        let place = usize::try_from(number).ok().and_then(|number| table.get_mut(number));
        if let Some(place) = place.filter(|_| is_wanted(config, hook)) {
            *place = hook.id();
        }
    }
    table
}

/// Slots by the largest thread id, a power of two.
pub(super) fn thread_slots() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
    let pid_max = text.trim().parse::<u32>().unwrap_or(THREAD_SLOTS_MAX);
    pid_max.clamp(1024, THREAD_SLOTS_MAX).next_power_of_two()
}

/// Ids start at the time in nanoseconds: fewer than one a nanosecond are given out, so that a later
/// run of the agent has others.
pub(super) fn id_base() -> u64 {
    sys::monotonic_ns().saturating_add_signed(sys::epoch_offset_ns())
}

fn fill_ports(
    map: &mut Array<MapData, u64>,
    first_word: u32,
    ranges: &[RangeInclusive<u16>],
) -> Result<(), BpfError> {
    for (word, bits) in port_words(ranges).into_iter().filter(|&(_, bits)| bits != 0) {
        map.set(first_word + word, bits, 0).map_err(map_error("port filter"))?;
    }
    Ok(())
}

/// Bitmap of ports, 64 a word.
fn port_words(ranges: &[RangeInclusive<u16>]) -> Vec<(u32, u64)> {
    let mut words: Vec<(u32, u64)> = (0..1024).map(|word| (word, 0)).collect();
    for port in ranges.iter().cloned().flatten() {
        words[usize::from(port >> 6)].1 |= 1 << (port & 63);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::FileCalls;

    #[test]
    fn ports_become_bits() {
        let words = port_words(&[80..=80, 8000..=8001, 65535..=65535]);
        assert_eq!(words.len(), 1024);
        let set: Vec<_> = words.into_iter().filter(|&(_, bits)| bits != 0).collect();
        assert_eq!(set, [(1, 1 << 16), (125, 0b11), (1023, 1 << 63)]);
    }

    #[test]
    fn the_table_has_each_call_that_is_on() {
        let config = BpfConfig { hooks_off: vec![Hook::Read], ..BpfConfig::default() };
        let table = hook_table(&config);
        assert_eq!(table.iter().filter(|&&hook| hook != 0).count(), 24);
        assert_eq!(table[usize::try_from(libc::SYS_write).expect("small")], Hook::Write.id());
        assert_eq!(table[usize::try_from(libc::SYS_read).expect("small")], 0);
        let files = FileCalls { mode: FileMode::Off, ..FileCalls::default() };
        let table = hook_table(&BpfConfig { files, ..BpfConfig::default() });
        assert_eq!(table.iter().filter(|&&hook| hook != 0).count(), 17);
    }

    #[test]
    fn slots_are_a_power_of_two() {
        assert!(thread_slots().is_power_of_two());
        assert!(thread_slots() <= THREAD_SLOTS_MAX);
    }

    #[test]
    fn the_object_is_an_elf_file_without_paths_of_this_machine() {
        let object = &OBJECT_V510.0;
        assert_eq!(&object[..4], b"\x7fELF");
        let path = env!("CARGO_MANIFEST_DIR").as_bytes();
        assert!(!object.windows(path.len()).any(|window| window == path));
        let root = path.strip_suffix(b"/agent/source").expect("our place in the tree");
        assert!(
            !object.windows(root.len() + 4).any(|w| w.starts_with(root) && w.ends_with(b"/bpf"))
        );
    }
}
