//! `cargo xtask VERB`: the project's own chores. Nothing here is part of the product.

mod container;
mod cross;
mod debian;
mod fuzz;
mod generate;
mod nix;
mod prerequisites;
mod reproduce;
mod run;
mod ship;
mod shipped;
mod suite;
mod tidy;
mod tools;
mod vm;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask VERB
  generate [--check]           write (or compare) what follows from schema/
  tidy                         check the rules of STYLE.md
  prerequisites run|test|bench|fuzz
                               install what a verb needs and is missing
  run [OPTION…]                build and start server and agent on this host
  test [STEP…]                 every check of the project, or the named steps
  compare-tshark AGENT PATH…   compare flows of captures with tshark's (--write FILE: tables)
  bench                        measure into docs/perf.md
  fuzz [--seconds N] [--jobs N] [--grow] [TARGET…]
                               run fuzz targets; --grow keeps what they found as corpora
  tools fetch|verify [--from FOLDER]
                               bring what is shipped is built with, or hold it to its digests
  tools store                  put it into the Nix store, by digest
  static [ARCH]                the agent as a static program for each architecture
  images [server]              the agent as a container image for each architecture, and for both;
                               or the server
  images start ARCHIVE         the server's image as a container: does it answer?
  nix [PACKAGE…]               the same by Nix, in its sandbox, without network
  reproduce [--by MEANS] [--what agent,server] [--arch ARCH]
                               build by several means and compare every byte
  kernels fetch|lock|verify    bring the kernels of kernel-matrix/, lock what the archive has, or
                               hold those that are here to their lock
  vm [--kernel ID]… [--packaged] [--write]
                               boot kernels and run the cases in them
  vm --image FILE [--arch ARCH] [--expect tier=T] [--write]
                               the same with any kernel; --agent-image ARCHIVE: with the agent of
                               an image";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = generate::root();
    match words.as_slice() {
        ["generate"] => generate::write(),
        ["generate", "--check"] => generate::check(),
        ["tidy"] => tidy::run(&root),
        ["prerequisites", purpose] => prerequisites::install(&root, purpose.parse()?),
        ["run", options @ ..] => run::system(&root, options),
        ["test", steps @ ..] => suite::test(&root, steps),
        ["compare-tshark", words @ ..] => suite::compare_tshark(&root, words),
        ["bench"] => suite::bench(&root),
        ["fuzz", words @ ..] => fuzz::run(&root, words),
        ["tools", words @ ..] => tools::run(&root, words),
        ["static", words @ ..] => ship::agents(&root, words),
        ["nix", words @ ..] => nix::run(&root, words),
        ["reproduce", words @ ..] => reproduce::run(&root, words).map(drop),
        ["images"] => ship::images(&root),
        ["images", "start", archive] => container::start(archive.as_ref()),
        ["images", "server", words @ ..] => ship::server(&root, words),
        ["kernels", words @ ..] => vm::kernels(&root, words),
        ["vm", words @ ..] => vm::run(&root, words).map(drop),
        _ => bail!("{USAGE}"),
    }
}
