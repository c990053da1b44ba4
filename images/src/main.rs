//! `images`: the command line of the image builder. Nix and Bazel call it with the same arguments.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};

use images::archive;
use images::assemble::{self, Request};
use images::description::{Description, Linkage};
use images::target::Architecture;
use images::{inspect, licences, read};

/// Makes OCI images, the same bytes on every machine.
#[derive(Debug, Parser)]
#[command(name = "images", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an image for one architecture.
    Build(BuildArguments),
    /// Join images of several architectures into one archive.
    Index {
        /// Archive to write.
        #[arg(long)]
        output: PathBuf,
        /// Archives of the same image and version.
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Hold archives to their own digests, and print those.
    Verify {
        /// Archives.
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Gather the licence texts of the crates in an image.
    Licences {
        /// Description of the image (images/*.toml), which names the crates.
        #[arg(long)]
        image: PathBuf,
        /// Output of `cargo metadata --format-version 1 --filter-platform TARGET`.
        #[arg(long)]
        metadata: PathBuf,
        /// Our own licence.
        #[arg(long)]
        own: PathBuf,
        /// Folder to write.
        #[arg(long)]
        output: PathBuf,
    },
    /// Hold a program to its architecture and linkage, and to naming no path of its build.
    Inspect {
        /// aarch64 or x86_64.
        #[arg(long)]
        architecture: Architecture,
        /// Whether it is loaded by an interpreter; else static is demanded.
        #[arg(long)]
        dynamic: bool,
        /// Words that may not stand in it.
        #[arg(long)]
        without: Vec<String>,
        /// Program.
        program: PathBuf,
    },
    /// Print what images run, may do and write to, as Markdown.
    Describe {
        /// Descriptions.
        #[arg(required = true)]
        descriptions: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct BuildArguments {
    /// Description of the image (images/*.toml).
    #[arg(long)]
    image: PathBuf,
    /// aarch64 or x86_64.
    #[arg(long)]
    architecture: Architecture,
    /// Version, and tag.
    #[arg(long)]
    version: String,
    /// Commit of the source; a dirty tree has none.
    #[arg(long)]
    revision: String,
    /// Lock file of tools (TOML, [[tool]] with name, version, sha256).
    #[arg(long)]
    tools: PathBuf,
    /// Output of `cargo metadata --format-version 1 --filter-platform TARGET`.
    #[arg(long)]
    metadata: PathBuf,
    /// Folder of licence texts.
    #[arg(long)]
    licences: PathBuf,
    /// File or folder that the description asks for, as NAME=PATH.
    #[arg(long = "input", value_parser = pair)]
    inputs: Vec<(String, String)>,
    /// Digest that an input must have, as NAME=HEX.
    #[arg(long = "sha256", value_parser = pair)]
    sha256: Vec<(String, String)>,
    /// Archive to write.
    #[arg(long)]
    output: PathBuf,
}

fn pair(word: &str) -> Result<(String, String)> {
    let (name, value) = word.split_once('=').context("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("images: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Build(arguments) => assemble::image(&request(arguments)?),
        Verb::Index { output, archives } => index(&output, &archives),
        Verb::Verify { archives } => archives.iter().try_for_each(|path| verify(path)),
        Verb::Licences { image, metadata, own, output } => {
            let crates = Description::load(&image)?.crates;
            let (all, without) = licences::gather(&metadata, &crates, &own, &output)?;
            println!("licences: {all} crates, {without} of them ship no text");
            Ok(())
        }
        Verb::Inspect { architecture, dynamic, without, program } => {
            let linkage = if dynamic { Linkage::Dynamic } else { Linkage::StaticPie };
            inspect::program(&program, linkage, architecture, &without)
        }
        Verb::Describe { descriptions } => {
            let described: Result<Vec<String>> =
                descriptions.iter().map(|path| Ok(Description::load(path)?.markdown())).collect();
            print!("{}", described?.join("\n"));
            Ok(())
        }
    }
}

fn request(arguments: BuildArguments) -> Result<Request> {
    let count = arguments.inputs.len();
    let inputs = arguments.inputs.into_iter().map(|(name, path)| (name, path.into()));
    let request = Request {
        description: arguments.image,
        architecture: arguments.architecture,
        version: arguments.version,
        revision: arguments.revision,
        tools: arguments.tools,
        metadata: arguments.metadata,
        licences: arguments.licences,
        inputs: inputs.collect(),
        sha256: arguments.sha256.into_iter().collect(),
        output: arguments.output,
    };
    ensure!(request.inputs.len() == count, "an input is given twice");
    Ok(request)
}

fn index(output: &Path, archives: &[PathBuf]) -> Result<()> {
    let mut images = Vec::new();
    let mut name = None;
    for path in archives {
        let contents = read::read(path)?;
        let first = name.get_or_insert_with(|| contents.name.clone());
        ensure!(
            *first == contents.name,
            "{} is {}:{}, not {}:{}",
            path.display(),
            contents.name.repository,
            contents.name.tag,
            first.repository,
            first.tag
        );
        images.extend(contents.images);
    }
    archive::write(output, &name.context("no archive")?, images)
}

fn verify(path: &Path) -> Result<()> {
    let contents = read::read(path)?;
    for image in &contents.images {
        let layers_bytes: u64 = image.layers.iter().map(|layer| layer.size_bytes).sum();
        println!(
            "{}:{} {} {} layers {layers_bytes} bytes",
            contents.name.repository,
            contents.name.tag,
            image.architecture.name(),
            image.manifest.digest()
        );
    }
    Ok(())
}
