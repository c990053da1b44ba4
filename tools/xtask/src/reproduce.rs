//! `cargo xtask reproduce`: the same commit built by several means must give the same bytes.
//!
//! In: a tree without changes, the locked tools. Out: a table of sha256 of every artefact, and an
//! error when two differ. Means: Nix in its sandbox; Nix again, in a sandbox whose folder has
//! another name, at another time of day; the plain scripts in another folder, by another user, under
//! another umask, time zone, locale, time of day and number of processors; Bazel in its own root. Whatever cannot be run is said to be "not run", never passed.

mod another_time;
mod by_bazel;
mod by_hand;
mod by_nix;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::cross::{Arch, target_folder};
use crate::prerequisites::find;
use crate::shipped::{AGENT, Image};
use crate::{ship, tools};

/// Name of an artefact → where it lies.
type Artefacts = BTreeMap<String, PathBuf>;

/// A way to build.
struct Means {
    name: &'static str,
    build: fn(&Job<'_>) -> Result<Artefacts>,
    /// Why it cannot be run here.
    lacks: fn(&Path) -> Option<String>,
    /// Lanes are built beside each other, each on processors of its own: two crates at a time in all, as
    /// more would wait for each other. [`AFTER`] them all comes the rest, with all processors.
    lane: usize,
    /// What it builds if nobody names the means.
    arches: &'static [Arch],
}

/// What is to be built.
struct Job<'a> {
    root: &'a Path,
    /// Of this means.
    folder: PathBuf,
    revision: String,
    /// Images with all that is in them.
    what: Vec<&'static Image>,
    arches: Vec<Arch>,
    /// Those that it is built on, as `taskset` reads them.
    processors: String,
    /// What its builds print.
    log: PathBuf,
}

const MEANS: [Means; 4] = [
    Means { name: "nix", build: by_nix::build, lacks: by_nix::lacks, lane: 0, arches: &Arch::ALL },
    Means {
        name: "nix-again",
        build: by_nix::again,
        lacks: by_nix::lacks,
        lane: AFTER,
        arches: &[Arch::X86_64],
    },
    Means { name: "plain", build: by_hand::build, lacks: by_hand::lacks, lane: 1, arches: &[] },
    Means {
        name: "bazel",
        build: by_bazel::build,
        lacks: by_bazel::lacks,
        lane: 1,
        arches: &Arch::ALL,
    },
];
const LANES: usize = 2;
const AFTER: usize = LANES;
/// How much of a failed build's log is shown.
const SHOWN_LINES: usize = 40;
const USAGE: &str = "usage: cargo xtask reproduce [--by nix,nix-again,plain,bazel] [--arch ARCH]
                             [--what agent,server]
       without words: the agent by nix and bazel, and by nix-again for x86_64";

/// Runs the verb; gives what was wanted and could not be run, in words.
pub fn run(root: &Path, words: &[&str]) -> Result<Vec<String>> {
    let (mut by, mut arches, mut what) = (None, None, vec![&AGENT]);
    for pair in words.chunks(2) {
        match pair {
            ["--by", names] => by = Some(names.split(',').collect::<Vec<_>>()),
            ["--arch", name] => arches = Some(vec![Arch::parse(name)?]),
            ["--what", words] => {
                what = words.split(',').map(Image::parse).collect::<Result<_>>()?;
            }
            _ => bail!(USAGE),
        }
    }
    if let Some(unknown) =
        by.iter().flatten().find(|name| MEANS.iter().all(|means| means.name != **name))
    {
        bail!("{unknown:?} is no means; {USAGE}");
    }
    for arch in arches.iter().flatten() {
        what.iter().try_for_each(|image| image.ensure_for(*arch))?;
    }
    let revision = ship::clean_revision(root)?;
    let begin = Instant::now();
    what.iter().try_for_each(|image| image.fetch(root))?;
    let (mut jobs, mut not_run) = (Vec::new(), Vec::new());
    for means in &MEANS {
        let is_wanted = match &by {
            Some(names) => names.contains(&means.name),
            None => !means.arches.is_empty(),
        };
        if !is_wanted {
            continue;
        }
        if let Some(why) = (means.lacks)(root) {
            println!("{}: not run: {why}", means.name);
            not_run.push(format!("{}: {why}", means.name));
            continue;
        }
        let of_all = if by.is_some() { &Arch::ALL } else { means.arches };
        let arches = arches.as_deref().unwrap_or(of_all);
        jobs.push((means, Job::begin(root, means, &revision, &what, arches)?));
    }
    let built = all(&jobs)?;
    not_run.extend(compare(&built)?);
    println!("reproduce: {} s", begin.elapsed().as_secs());
    Ok(not_run)
}

/// Why Nix cannot build here.
pub fn lacks_nix(root: &Path) -> Option<String> {
    by_nix::lacks(root)
}

/// Builds by every means.
fn all(jobs: &[(&'static Means, Job<'_>)]) -> Result<Vec<(&'static str, Artefacts)>> {
    let one = |(means, job): &(&'static Means, Job<'_>)| -> Result<(&'static str, Artefacts)> {
        println!("{}: begins; its log is {}", means.name, job.log.display());
        let begin = Instant::now();
        let artefacts = (means.build)(job).with_context(|| means.name)?;
        println!("{}: built in {} s", means.name, begin.elapsed().as_secs());
        Ok((means.name, artefacts))
    };
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let wanted = jobs.iter().filter(move |(means, _)| means.lane == lane);
                scope.spawn(move || wanted.map(one).collect::<Result<Vec<_>>>())
            })
            .collect();
        let mut built = Vec::new();
        for lane in lanes {
            built.extend(lane.join().map_err(|_| anyhow!("a build panicked"))??);
        }
        for job in jobs.iter().filter(|(means, _)| means.lane == AFTER) {
            built.push(one(job)?);
        }
        Ok(built)
    })
}

/// Prints what was built, and gives what one means alone has built; an error when it differs, or when
/// there is nothing to compare.
fn compare(built: &[(&str, Artefacts)]) -> Result<Vec<String>> {
    let mut first: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
    let mut differing = Vec::new();
    for (means, artefacts) in built {
        for (name, path) in artefacts {
            let digest = tools::sha256(path)?;
            println!("{digest}  {name} ({means})");
            match first.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(Seen { means: vec![means], path, digest });
                }
                Entry::Occupied(mut seen) => {
                    let seen = seen.get_mut();
                    if seen.digest != digest {
                        show_difference(seen.path, path);
                        differing.push(format!("{name} ({} and {means})", seen.means[0]));
                    }
                    seen.means.push(means);
                }
            }
        }
    }
    ensure!(differing.is_empty(), "not the same: {}", differing.join(", "));
    let (mut alone, mut compared) = (Vec::new(), 0);
    for (name, seen) in &first {
        if let [means] = seen.means.as_slice() {
            println!("{name}: not compared: by {means} alone");
            alone.push(format!("{name}: by {means} alone"));
        } else {
            println!("{name}: the same bytes by {}", seen.means.join(", "));
            compared += 1;
        }
    }
    ensure!(compared > 0, "{} of the means ran: nothing was compared", built.len());
    Ok(alone)
}

/// An artefact as the first means built it, and who built it.
struct Seen<'a> {
    means: Vec<&'a str>,
    path: &'a Path,
    digest: String,
}

fn show_difference(one: &Path, other: &Path) {
    let tool = if find("diffoscope").is_some() { "diffoscope" } else { "cmp" };
    let output = Command::new(tool).args([one, other]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let lines = text.unwrap_or_default();
    lines.lines().take(SHOWN_LINES).for_each(|line| println!("    {line}"));
}

impl<'a> Job<'a> {
    fn begin(
        root: &'a Path,
        means: &Means,
        revision: &str,
        what: &[&'static Image],
        arches: &[Arch],
    ) -> Result<Self> {
        let above = target_folder(root).join("reproduce");
        let (folder, log) = (above.join(means.name), above.join(format!("{}.log", means.name)));
        fs::create_dir_all(&folder)?;
        fs::write(&log, "")?;
        let (revision, what, arches) = (revision.to_owned(), what.to_vec(), arches.to_vec());
        let processors = processors(means.lane, std::thread::available_parallelism()?.get());
        Ok(Self { root, folder: folder.canonicalize()?, revision, what, arches, processors, log })
    }

    /// Every image that is wanted, for each architecture that it is made for.
    fn images(&self) -> impl Iterator<Item = (&'static Image, Arch)> {
        self.what.iter().flat_map(|image| {
            let fits = |arch: &Arch| image.arches.contains(arch);
            self.arches.iter().copied().filter(fits).map(|arch| (*image, arch))
        })
    }

    /// Images whose architectures are all wanted, and the target that makes one archive of them.
    fn indexes(&self) -> impl Iterator<Item = (&'static Image, &'static str)> {
        let is_whole = |image: &&&Image| image.arches.iter().all(|arch| self.arches.contains(arch));
        self.what.iter().filter(is_whole).filter_map(|image| Some((*image, image.index?)))
    }

    /// One of its processors.
    fn one_processor(&self) -> &str {
        self.processors.rsplit('-').next().unwrap_or(&self.processors)
    }

    /// A clone at the commit.
    fn clone_at(&self, tree: PathBuf) -> Result<PathBuf> {
        if tree.exists() {
            fs::remove_dir_all(&tree)?;
        }
        self.step(Command::new("git").args(["clone", "--quiet"]).args([self.root, &tree]))?;
        let checkout = ["checkout", "--quiet", &self.revision];
        self.step(Command::new("git").args(checkout).current_dir(&tree))?;
        Ok(tree)
    }

    /// Runs a command on the job's processors; what it prints goes to the log, whose end is shown if it
    /// fails.
    fn step(&self, command: &Command) -> Result<()> {
        self.step_on(&self.processors, command)
    }

    /// The same on these.
    fn step_on(&self, processors: &str, inner: &Command) -> Result<()> {
        let log = fs::File::options().append(true).open(&self.log).context("log")?;
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", processors]).arg(inner.get_program()).args(inner.get_args());
        for (key, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(folder) = inner.get_current_dir() {
            command.current_dir(folder);
        }
        command.stdout(log.try_clone()?).stderr(log);
        let status = command.status().with_context(|| format!("failed to start {command:?}"))?;
        if !status.success() {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
            bail!("{command:?} ended with {status}:\n{end}");
        }
        Ok(())
    }
}

/// A lane's share of so many processors.
fn processors(lane: usize, all: usize) -> String {
    if lane == AFTER {
        return format!("0-{}", all - 1);
    }
    let share = (all / LANES).max(1);
    let first = (lane * share).min(all - 1);
    let last = if lane + 1 == LANES { all - 1 } else { first + share - 1 };
    format!("{first}-{last}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped::SERVER;

    #[test]
    fn equal_passes_and_different_or_alone_fails() {
        let site = tempfile::tempdir().expect("a folder");
        let put = |name: &str, bytes: &str| {
            let path = site.path().join(name);
            fs::write(&path, bytes).expect("written");
            Artefacts::from([("agent".to_owned(), path)])
        };
        let (nix, mut bazel, other) = (put("1", "a"), put("2", "a"), put("3", "b"));
        let both = compare(&[("nix", nix.clone()), ("bazel", bazel.clone())]);
        assert!(both.expect("the same").is_empty());
        bazel.insert("index".to_owned(), site.path().join("1"));
        let alone = compare(&[("nix", nix.clone()), ("bazel", bazel)]).expect("the same");
        assert_eq!(alone, ["index: by bazel alone"]);
        let differ = [("nix", nix.clone()), ("bazel", other)];
        let told = compare(&differ).expect_err("differs").to_string();
        assert!(told.contains("agent (nix and bazel)"), "{told}");
        let told = compare(&[("nix", nix)]).expect_err("alone").to_string();
        assert!(told.contains("nothing was compared"), "{told}");
    }

    #[test]
    fn lanes_share_the_processors() {
        assert_eq!([processors(0, 1), processors(1, 1)], ["0-0", "0-0"]);
        assert_eq!([processors(0, 2), processors(1, 2)], ["0-0", "1-1"]);
        assert_eq!([processors(0, 7), processors(1, 7)], ["0-2", "3-6"]);
        assert_eq!(processors(AFTER, 7), "0-6");
    }

    #[test]
    fn an_unknown_means_is_refused() {
        let told = run(Path::new("/nonexistent"), &["--by", "nix,make"]).expect_err("refused");
        assert!(told.to_string().contains("\"make\" is no means"), "{told}");
    }

    #[test]
    fn what_is_not_shipped_is_refused_before_anything_is_built() {
        let nowhere = Path::new("/nonexistent");
        let told = run(nowhere, &["--what", "agent,servant"]).expect_err("refused");
        assert!(told.to_string().contains("\"servant\" is nothing that we ship"), "{told}");
        let words = ["--what", "server", "--arch", "aarch64"];
        let told = run(nowhere, &words).expect_err("refused");
        assert!(told.to_string().contains("libchdb, for x86_64 alone"), "{told}");
    }

    #[test]
    fn each_image_is_built_for_its_own_architectures() {
        let site = tempfile::tempdir().expect("a folder");
        let job = |what: &[&'static Image], arches: &[Arch]| Job {
            root: site.path(),
            folder: site.path().to_owned(),
            revision: String::new(),
            what: what.to_vec(),
            arches: arches.to_vec(),
            processors: "0".to_owned(),
            log: site.path().join("log"),
        };
        let targets = |job: Job<'_>| -> Vec<String> {
            let images = job.images().map(|(image, arch)| image.target(arch));
            images.chain(job.indexes().map(|(_, target)| target.to_owned())).collect()
        };
        let all = targets(job(&[&AGENT, &SERVER], &Arch::ALL));
        let wanted = ["agent-image-x86_64", "agent-image-aarch64", "server-image-x86_64", "images"];
        assert_eq!(all, wanted);
        assert_eq!(targets(job(&[&AGENT], &[Arch::X86_64])), ["agent-image-x86_64"]);
    }

    #[test]
    fn a_failed_step_shows_the_end_of_its_log() {
        let site = tempfile::tempdir().expect("a folder");
        let log = site.path().join("log");
        fs::write(&log, "").expect("written");
        let folder = site.path().to_owned();
        let revision = String::new();
        let processors = "0".to_owned();
        let (what, arches) = (Vec::new(), Vec::new());
        let job = Job { root: site.path(), folder, revision, what, arches, processors, log };
        let told = job.step(
            Command::new("sh").args(["-c", "echo it is $WORD; exit 3"]).env("WORD", "broken"),
        );
        assert!(format!("{:#}", told.expect_err("failed")).contains("it is broken"));
    }
}
