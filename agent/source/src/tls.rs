//! Plaintext of TLS connections, taken where a process hands it to its library.
//!
//! In: programs of the loaded object, `/proc`. Out: hooks in every library and program that has the
//! functions of `library`, each file once, for as long as somebody uses it. Never: a change to a
//! process; a look into memory but what a call was given; anything that stays when `TlsProbes` is
//! dropped. Which socket a session has is found out in the kernel: docs/adr/0012.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

mod attach;
mod elf;
mod go;
mod goroutines;
mod library;
mod mappings;
mod overlay;
mod places;
mod pmu;
mod regs;

pub use attach::{Mechanism, Programs};
pub(crate) use goroutines::Goroutines;
pub(crate) use regs::{CALLED_REGS, GO_CALLED_REGS};

use attach::Attachment;
use library::{Functions, Hook, Library};
use mappings::{Mapping, MappingKey};
use places::FileId;

/// Files looked into at most at one time; the rest is for the next.
const FILES_PER_LOOK: usize = 256;
/// Files remembered; beyond, those without TLS are forgotten and looked into again when needed.
const FILES_MAX: usize = 16_384;

/// What became of one library or program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryReport {
    /// Its file, as the process sees it whose it was found by.
    pub path: PathBuf,
    /// Which library it is, or has inside: `OpenSSL`, `Go 1.19.8`.
    pub library: String,
    /// Functions that are hooked.
    pub functions: Vec<&'static str>,
    /// Why others are not; empty if all are.
    pub reason: String,
}

/// A file with a TLS library in it.
struct Hooked {
    report: LibraryReport,
    /// Where a goroutine of such a program has its number.
    goid_at: Option<u32>,
    /// Round in which somebody was last seen to have it.
    seen: u64,
    _attachments: Vec<Attachment>,
}

/// What a file is.
struct Found {
    library: String,
    hooks: Vec<Hook>,
    /// Why there are none.
    refused: String,
    goid_at: Option<u32>,
}

/// The hooks in TLS libraries. One thread.
pub struct TlsProbes {
    programs: Programs,
    hooked: HashMap<FileId, Hooked>,
    /// Files in overlays, and the hooked file of a layer that each is.
    layers: HashMap<FileId, FileId>,
    /// Files that processes have mapped, and the hooked one that each is, if any.
    mapped: HashMap<MappingKey, (Option<FileId>, u64)>,
    /// Mount namespaces whose standard folders were looked at.
    spaces: HashMap<u64, u64>,
    round: u64,
    left: usize,
}

impl std::fmt::Debug for TlsProbes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsProbes").field("hooked", &self.hooked.len()).finish_non_exhaustive()
    }
}

impl TlsProbes {
    /// With nothing hooked yet.
    #[must_use]
    pub fn new(programs: Programs) -> Self {
        Self {
            programs,
            hooked: HashMap::new(),
            layers: HashMap::new(),
            mapped: HashMap::new(),
            spaces: HashMap::new(),
            round: 0,
            left: 0,
        }
    }

    /// Looks at every process under `proc` that `wanted` takes: hooks what is new, and unhooks what
    /// nobody has any more.
    pub fn look_at_all(&mut self, proc: &Path, wanted: &dyn Fn(u32) -> bool) {
        self.round += 1;
        self.left = FILES_PER_LOOK;
        let Ok(entries) = std::fs::read_dir(proc) else { return };
        let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        for tgid in ids.filter(|tgid| wanted(*tgid)) {
            self.look(proc, tgid);
        }
        if self.left > 0 {
            self.forget();
        }
    }

    /// Looks at one process, which began to run a program; false: it is gone.
    pub fn look_at(&mut self, proc: &Path, tgid: u32) -> bool {
        self.left = FILES_PER_LOOK;
        self.look(proc, tgid)
    }

    /// Libraries and programs that are hooked.
    #[must_use]
    pub fn hooked(&self) -> usize {
        self.hooked.len()
    }

    /// Everything that has a TLS library, by path.
    #[must_use]
    pub fn reports(&self) -> Vec<LibraryReport> {
        let mut reports: Vec<_> = self.hooked.values().map(|one| one.report.clone()).collect();
        reports.sort_by(|a, b| a.path.cmp(&b.path));
        reports
    }

    fn look(&mut self, proc: &Path, tgid: u32) -> bool {
        let folder = proc.join(tgid.to_string());
        let Ok(maps) = std::fs::read(folder.join("maps")) else { return false };
        let mut goid_at = None;
        for mapping in mappings::executable(&maps) {
            let id = self.look_into(&folder, &mapping);
            let hooked = id.and_then(|id| self.hooked.get(&id));
            goid_at = goid_at.or(hooked.and_then(|hooked| hooked.goid_at));
        }
        if let Some(goid_at) = goid_at {
            self.programs.note_goroutines(tgid, goid_at);
        }
        self.look_around(&folder);
        true
    }

    /// Hooks a mapped file if it is new and has a TLS library; which one it is then.
    fn look_into(&mut self, folder: &Path, mapping: &Mapping) -> Option<FileId> {
        let round = self.round;
        if let Some((id, seen)) = self.mapped.get_mut(&mapping.key) {
            *seen = round;
            if let Some(hooked) = id.and_then(|id| self.hooked.get_mut(&id)) {
                hooked.seen = round;
            }
            return *id;
        }
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let file = places::open(folder, mapping)?;
        let id = self.hook(folder, &file, &mapping.key.path);
        if self.mapped.len() >= FILES_MAX {
            self.mapped.retain(|_, (id, _)| id.is_some());
        }
        self.mapped.insert(mapping.key.clone(), (id, round));
        id
    }

    /// Hooks libraries that stand where programs of this mount namespace look for them, so that the
    /// first to use one is seen from its first call on.
    fn look_around(&mut self, folder: &Path) {
        let Some(space) = places::mount_namespace(folder) else { return };
        if self.spaces.get(&space).is_some_and(|seen| *seen == self.round) {
            return;
        }
        self.spaces.insert(space, self.round);
        if !self.programs.libraries() {
            return;
        }
        for path in places::standard_libraries(folder) {
            let Some(id) = places::id_of(&path) else { continue };
            let id = self.layers.get(&id).copied().unwrap_or(id);
            if let Some(hooked) = self.hooked.get_mut(&id) {
                hooked.seen = self.round;
            } else if let Ok(file) = File::open(&path) {
                let inside = path.strip_prefix(folder.join("root")).unwrap_or(&path);
                self.hook(folder, &file, &Path::new("/").join(inside));
            }
        }
    }

    /// Hooks a file if it has a TLS library; which one it is then.
    fn hook(&mut self, folder: &Path, file: &File, path: &Path) -> Option<FileId> {
        let id = places::id_of_file(file)?;
        let mut id = self.layers.get(&id).copied().unwrap_or(id);
        if let Some(hooked) = self.hooked.get_mut(&id) {
            hooked.seen = self.round;
            return Some(id);
        }
        let found = match elf::functions(file, &library::names()) {
            Ok(found) => found,
            Err(error) => {
                tracing::trace!(path = %path.display(), %error, "not looked into");
                return None;
            }
        };
        let Found { library, hooks, refused, goid_at } = self.hooks(file, &found)?;
        let layer_file = overlay::layer_file(folder, path, file);
        if let Some(layer_id) = layer_file.as_ref().and_then(places::id_of_file) {
            self.layers.insert(std::mem::replace(&mut id, layer_id), layer_id);
            if let Some(hooked) = self.hooked.get_mut(&id) {
                hooked.seen = self.round;
                return Some(id);
            }
        }
        let file = layer_file.as_ref().unwrap_or(file);
        let (attachments, functions, reason) = self.programs.attach(file, &hooks);
        let reason = if refused.is_empty() { reason } else { refused };
        let report = LibraryReport { path: path.to_owned(), library, functions, reason };
        tracing::info!(path = %path.display(), library = report.library,
            functions = report.functions.len(), reason = report.reason, "TLS is read");
        let hooked = Hooked { report, goid_at, seen: self.round, _attachments: attachments };
        self.hooked.insert(id, hooked);
        Some(id)
    }

    /// What a file is, if it is one to be read.
    fn hooks(&self, file: &File, found: &Functions) -> Option<Found> {
        if let Some(library) = Library::of(found).filter(|_| self.programs.libraries()) {
            let (hooks, library) = (library.hooks(found), library.name().to_owned());
            return Some(Found { library, hooks, refused: String::new(), goid_at: None });
        }
        let loaded = self.programs.go()?;
        let go::Program { name: library, hooks, reason: refused, goid_at } = go::look(file, found)?;
        match loaded {
            Ok(()) => Some(Found { library, hooks, refused, goid_at }),
            Err(why) => {
                Some(Found { library, hooks: Vec::new(), refused: why.to_owned(), goid_at })
            }
        }
    }

    /// Lets go of what was not seen in the round that ends.
    fn forget(&mut self) {
        let round = self.round;
        self.mapped.retain(|_, (_, seen)| *seen == round);
        self.spaces.retain(|_, seen| *seen == round);
        self.hooked.retain(|_, hooked| {
            let stays = hooked.seen == round;
            if !stays {
                tracing::info!(path = %hooked.report.path.display(), "TLS is read no longer");
            }
            stays
        });
        self.layers.retain(|_, id| self.hooked.contains_key(id));
    }
}
