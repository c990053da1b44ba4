//! `cargo xtask vm`: boots kernels under QEMU and has the real agent show there what it can.
//!
//! In: rows of the kernel matrix, or any image. Out: a line a case, a non-zero end if one failed,
//! with `--write` the table `docs/kernels.md`. A kernel that is not here is "not run", never
//! passed.

mod distribution;
mod go;
mod guest;
mod image;
mod machine;
pub mod matrix;
mod report;
mod root;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cross::{self, Arch};
use crate::debian::Archive;
use machine::Boot;
use matrix::{Authenticity, Exception, Kernel};

/// Longest boot with all cases, on a busy machine.
const LIMIT: Duration = Duration::from_secs(480);
/// Lines of the console, the last first, that stand in the summary where a guest did not come to its
/// end.
const LAST_WORDS: usize = 12;
const USAGE: &str = "usage: cargo xtask vm [--kernel ID]… [--arch A] [--packaged] [--write]
       cargo xtask vm --image FILE [--arch x86_64|aarch64] [--expect tier=v310] [--write]
       each with [--agent-image ARCHIVE]";

/// One boot that is wanted.
struct Job {
    id: String,
    arch: Arch,
    /// `Err`: why there is none.
    image: Result<PathBuf, String>,
    tier: Option<String>,
    except: Vec<Exception>,
}

/// What came of it.
pub struct Outcome {
    /// Id of the row.
    pub id: String,
    /// `None`: not run.
    pub ran: Option<Ran>,
}

/// What a boot showed.
pub struct Ran {
    /// Release that the kernel tells.
    pub release: String,
    /// What `deepflow-agent check --json` said.
    pub check: Value,
    /// Case → what came of it.
    pub cases: Vec<(String, Verdict)>,
    /// Seconds from power-on to power-off.
    pub seconds: u64,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every row was as expected.
    Passed,
    /// Why not.
    Failed(String),
    /// Why it could not be run: something that it needs is not in the root.
    NotRun(String),
}

impl Verdict {
    /// As the guest says it.
    fn of(text: &str) -> Self {
        match text.split_once(": ") {
            None if text == "passed" => Self::Passed,
            Some(("not run", why)) => Self::NotRun(why.to_owned()),
            Some(("failed", why)) => Self::Failed(why.to_owned()),
            _ => Self::Failed(text.to_owned()),
        }
    }
}

#[derive(Default)]
struct Options {
    kernels: Vec<String>,
    image: Option<PathBuf>,
    /// An OCI archive; the agent is the one in it.
    agent_image: Option<PathBuf>,
    arch: Option<Arch>,
    tier: Option<String>,
    packaged: bool,
    write: bool,
}

/// Runs the verb; gives the ids of the kernels that were not run.
pub fn run(root: &Path, words: &[&str]) -> Result<Vec<String>> {
    let options = parse(words)?;
    let jobs = jobs(root, &options)?;
    let mut outcomes = Vec::new();
    let mut failures = Vec::new();
    let mut roots = BTreeMap::new();
    for job in &jobs {
        let image = match &job.image {
            Ok(image) => image,
            Err(why) => {
                println!("{:<24} NOT RUN: {why}", job.id);
                outcomes.push(Outcome { id: job.id.clone(), ran: None });
                continue;
            }
        };
        let archive = match roots.entry(job.arch) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                place.insert(prepare(root, job.arch, options.agent_image.as_deref())?)
            }
        };
        let ran = run_one(job, image, archive, &mut failures)?;
        outcomes.push(Outcome { id: job.id.clone(), ran: Some(ran) });
    }
    if options.write {
        report::write(root, &outcomes)?;
    }
    let ran = outcomes.iter().filter(|outcome| outcome.ran.is_some()).count();
    println!("vm: {ran} kernels run, {} not run", outcomes.len() - ran);
    ensure!(ran > 0, "no kernel was run");
    ensure!(failures.is_empty(), "failed: {}", failures.join("; "));
    let missing = outcomes.into_iter().filter(|outcome| outcome.ran.is_none());
    Ok(missing.map(|outcome| outcome.id).collect())
}

/// `cargo xtask kernels fetch|lock|verify`: brings the images of the matrix, locks what the archive has
/// now, or holds what is here to its lock.
pub fn kernels(root: &Path, words: &[&str]) -> Result<()> {
    let archive = matrix::archive(root)?;
    let mut wrong = Vec::new();
    for kernel in matrix::read(root)? {
        let id = &kernel.id;
        match (words, kernel.package()?) {
            (["fetch"], _) => match kernel.image(&archive) {
                Ok(Some(image)) => println!("{id}: {}", image.display()),
                Ok(None) => println!("{id}: missing: {}", kernel.source),
                Err(error) => wrong.push(format!("{id}: {error:#}")),
            },
            (["lock"], Some(package)) => {
                let (version, sha256) = archive.lock(&package)?;
                println!("{id}: version = \"{version}\", sha256 = \"{sha256}\"");
                matrix::lock(root, id, &version, &sha256)?;
            }
            (["lock"], None) => {}
            (["verify"], _) => match kernel.verify(&archive) {
                Ok(Authenticity::Digest) => println!("{id}: has the locked sha256"),
                Ok(Authenticity::ByHand) => println!("{id}: put here by hand: {}", kernel.source),
                Ok(Authenticity::Missing) => println!("{id}: missing: {}", kernel.source),
                Err(error) => wrong.push(format!("{error:#}")),
            },
            _ => bail!("usage: cargo xtask kernels fetch|lock|verify"),
        }
    }
    wrong.extend(guests(root, words, &archive)?);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The same for the packages of guests; what is wrong with them.
fn guests(root: &Path, words: &[&str], archive: &Archive) -> Result<Vec<String>> {
    let mut all = guest::read(root)?;
    let mut wrong = Vec::new();
    for locked in &mut all {
        let name = format!("{} of {}", locked.name, locked.arch);
        if words == ["lock"] {
            *locked = locked.renewed(archive)?;
            println!("{name}: version = \"{}\", sha256 = \"{}\"", locked.version, locked.sha256);
            continue;
        }
        match archive.file(&locked.package()?) {
            Ok(_) => println!("{name}: has the locked sha256"),
            Err(error) => wrong.push(format!("{name}: {error:#}")),
        }
    }
    if words == ["lock"] {
        guest::write(root, &all)?;
    }
    Ok(wrong)
}

fn parse(words: &[&str]) -> Result<Options> {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().copied().context(USAGE);
        match *word {
            "--kernel" => options.kernels.push(value()?.to_owned()),
            "--image" => options.image = Some(value()?.into()),
            "--agent-image" => options.agent_image = Some(value()?.into()),
            "--arch" => options.arch = Some(Arch::parse(value()?)?),
            "--expect" => {
                let tier = value()?.strip_prefix("tier=").context(USAGE)?;
                options.tier = Some(tier.to_owned());
            }
            "--packaged" => options.packaged = true,
            "--write" => options.write = true,
            _ => bail!("{USAGE}"),
        }
    }
    Ok(options)
}

fn jobs(root: &Path, options: &Options) -> Result<Vec<Job>> {
    if let Some(image) = &options.image {
        ensure!(image.is_file(), "{} is no file", image.display());
        let arch = match options.arch {
            Some(arch) => arch,
            None => machine::arch_of(image)?,
        };
        let id = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let tier = options.tier.clone();
        return Ok(vec![Job { id, arch, image: Ok(image.clone()), tier, except: Vec::new() }]);
    }
    let known = matrix::read(root)?;
    for id in &options.kernels {
        ensure!(known.iter().any(|kernel| kernel.id == *id), "no kernel {id} in {}", matrix::FILE);
    }
    let archive = matrix::archive(root)?;
    let wanted = |kernel: &&Kernel| {
        (options.kernels.is_empty() || options.kernels.contains(&kernel.id))
            && options.arch.is_none_or(|arch| arch.name() == kernel.arch)
            && (!options.packaged || kernel.package.is_some())
    };
    let job = |kernel: &Kernel| -> Result<Job> {
        Ok(Job {
            id: kernel.id.clone(),
            arch: kernel.arch()?,
            image: match kernel.image(&archive) {
                Ok(image) => image.ok_or_else(|| "there is no image here".to_owned()),
                Err(error) => Err(format!("{error:#}")),
            },
            tier: Some(kernel.tier.clone()),
            except: kernel.except.clone(),
        })
    };
    known.iter().filter(wanted).map(job).collect()
}

fn run_one(job: &Job, image: &Path, archive: &Path, failures: &mut Vec<String>) -> Result<Ran> {
    let boot = machine::boot(job.arch, image, archive, LIMIT)?;
    let ran = read(&boot);
    for line in boot.said.iter().filter(|line| !line.starts_with("check ")) {
        println!("{:<24} {line}", job.id);
    }
    let mut problems = Vec::new();
    if !boot.said.iter().any(|line| line == "end") {
        let how = if boot.was_killed { "was switched off" } else { "went off" };
        let words = boot.tail.lines().rev().take(LAST_WORDS).collect::<Vec<_>>().join(" < ");
        problems.push(format!("the guest {how} after {} s, before its end: {words}", ran.seconds));
        println!("{}", boot.tail);
    }
    let tier = ran.check["tier"].as_str().unwrap_or("none");
    println!("{:<24} tier {tier}, {} s", job.id, ran.seconds);
    if job.tier.as_ref().is_some_and(|wanted| wanted != tier) {
        problems.push(format!("tier {tier}, not {}", job.tier.as_deref().unwrap_or_default()));
    }
    for hook in unattached(&ran.check) {
        problems.push(hook);
    }
    for (case, verdict) in &ran.cases {
        let excepted = job.except.iter().find(|exception| exception.case == *case);
        match (verdict, excepted) {
            (Verdict::Failed(why), None) => problems.push(format!("{case}: {why}")),
            (Verdict::Passed, Some(_)) => {
                problems.push(format!("{case} passed, but is expected to fail"));
            }
            (Verdict::Failed(_), Some(exception)) => {
                println!("{:<24} {case}: {}", job.id, exception.why);
            }
            (Verdict::Passed, None) | (Verdict::NotRun(_), _) => {}
        }
    }
    if ran.cases.is_empty() {
        problems.push("no case was run".to_owned());
    }
    failures.extend(problems.iter().map(|problem| format!("{}: {problem}", job.id)));
    Ok(ran)
}

/// Hooks that are not attached, each with the agent's reason.
fn unattached(check: &Value) -> Vec<String> {
    let hooks = check["hooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    if hooks.is_empty() {
        return vec!["no hook at all".to_owned()];
    }
    let missing = hooks.iter().filter(|hook| hook["attached"] != true);
    missing.map(|hook| format!("hook {}: {}", hook["hook"], hook["reason"])).collect()
}

fn read(boot: &Boot) -> Ran {
    let after = |start: &str| {
        boot.said.iter().find_map(|line| line.strip_prefix(start)).unwrap_or_default().to_owned()
    };
    let case = |line: &String| {
        let (name, verdict) = line.strip_prefix("case ")?.split_once(' ')?;
        Some((name.to_owned(), Verdict::of(verdict)))
    };
    Ran {
        release: after("kernel "),
        check: serde_json::from_str(&after("check ")).unwrap_or_default(),
        cases: boot.said.iter().filter_map(case).collect(),
        seconds: boot.took.as_secs(),
    }
}

/// The root for an architecture: built programs, packed. The agent is built for tests, or out of an
/// image.
fn prepare(root: &Path, arch: Arch, agent_image: Option<&Path>) -> Result<PathBuf> {
    let packages: &[&str] =
        if agent_image.is_some() { &["vm-tests"] } else { &["agentd", "vm-tests"] };
    let programs = cross::build(root, arch, packages, false)?;
    let (archive, locked) = (matrix::archive(root)?, guest::read(root)?);
    let busybox = distribution::busybox(&archive, &locked, arch)?;
    let folder = cross::target_folder(root).join("vm");
    std::fs::create_dir_all(&folder)?;
    let stripped = |name: &str| -> Result<PathBuf> {
        let path = folder.join(format!("{name}-{}", arch.name()));
        let mut strip = Command::new("llvm-strip-16");
        strip.arg("--strip-debug").arg(programs.join(name)).arg("-o").arg(&path);
        ensure!(strip.status().context("llvm-strip-16")?.success(), "llvm-strip-16 failed");
        Ok(path)
    };
    let agent = match agent_image {
        Some(archive) => image::agent(archive, arch, &folder.join("image"))?,
        None => stripped("deepflow-agent")?,
    };
    let mut all = vec![
        ("bin/busybox".to_owned(), busybox),
        ("vm-guest".to_owned(), stripped("vm-guest")?),
        ("deepflow-agent".to_owned(), agent),
    ];
    all.extend(distribution::files(&archive, &locked, arch)?);
    match go::build(root, arch, &folder) {
        Ok(program) => all.push(("go-talk".to_owned(), program)),
        Err(error) => println!("vm: the guest has no program of Go: {error:#}"),
    }
    let bytes = root::Root::of(&all)?;
    let path = folder.join(format!("root-{}.cpio", arch.name()));
    std::fs::write(&path, bytes)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_run_has_not_passed() {
        assert_eq!(Verdict::of("passed"), Verdict::Passed);
        assert_eq!(Verdict::of("failed: 1 of 2: rows"), Verdict::Failed("1 of 2: rows".into()));
        assert_eq!(Verdict::of("not run: no openssl"), Verdict::NotRun("no openssl".into()));
        assert_eq!(Verdict::of("torn li"), Verdict::Failed("torn li".into()));
    }
}
