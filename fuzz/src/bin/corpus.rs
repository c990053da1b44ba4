//! `corpus list | unpack TARGET FOLDER | pack TARGET FOLDER | run TARGET FILE…`: corpora and single
//! inputs, without libFuzzer.
//!
//! `unpack` writes seeds and corpus as one file an input, `pack` makes a folder of inputs the
//! target's corpus, `run` runs files that a fuzzer has found, in a program with symbols.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use fuzz::{Target, corpus};

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corpus: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => {
            Target::all().iter().for_each(|target| println!("{}", target.name()));
            Ok(())
        }
        ["unpack", name, folder] => unpack(&find(name)?, Path::new(folder)),
        ["pack", name, folder] => pack(&find(name)?, Path::new(folder)),
        ["run", name, files @ ..] => {
            let target = find(name)?;
            for file in files {
                target.run(&std::fs::read(file).with_context(|| (*file).to_owned())?);
                println!("{file}: every property holds");
            }
            Ok(())
        }
        _ => bail!("usage: list | unpack TARGET FOLDER | pack TARGET FOLDER | run TARGET FILE…"),
    }
}

fn find(name: &str) -> Result<Target> {
    Target::find(name).with_context(|| format!("no target {name:?}; `corpus list` lists them"))
}

fn unpack(target: &Target, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut inputs = target.seeds();
    inputs.extend(corpus::load(target.name())?);
    for (number, input) in inputs.iter().enumerate() {
        std::fs::write(folder.join(format!("{number:05}")), input)?;
    }
    println!("{} inputs of {}", inputs.len(), target.name());
    Ok(())
}

fn pack(target: &Target, folder: &Path) -> Result<()> {
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        inputs.push(std::fs::read(entry?.path())?);
    }
    let (count, packed) = (inputs.len(), corpus::pack(inputs)?);
    let path = corpus::path(target.name());
    std::fs::write(&path, &packed).with_context(|| path.display().to_string())?;
    println!("{}: {count} inputs in {} bytes", target.name(), packed.len());
    Ok(())
}
