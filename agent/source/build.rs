//! Builds the BPF objects from `bpf/` with clang, or takes prebuilt ones.
//!
//! In: the C sources, or the folder named by `DEEPFLOW_BPF_DIR` (for builders without clang).
//! Out: `OUT_DIR/<object>_<tier>.o`, the same bytes wherever it is built, and `digests.rs` with
//! their names and sha256. Never: a download.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use sha2::{Digest, Sha256};

/// Name, source, tier macro and instruction set of each object.
const OBJECTS: &[(&str, &str, &str, &str)] = &[
    ("capture_v510.o", "capture.bpf.c", "TIER_V510", "v3"),
    ("capture_v310.o", "capture.bpf.c", "TIER_V310", "v2"),
    ("peek_v310.o", "peek.bpf.c", "TIER_V310", "v2"),
];
const CLANG_OLDEST: u32 = 14;

fn main() {
    for name in ["DEEPFLOW_BPF_DIR", "DEEPFLOW_CLANG", "DEEPFLOW_LLVM_STRIP"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    if let Some(dir) = env::var_os("DEEPFLOW_BPF_DIR") {
        for (object, ..) in OBJECTS {
            let from = Path::new(&dir).join(object);
            println!("cargo::rerun-if-changed={}", from.display());
            if let Err(error) = std::fs::copy(&from, out.join(object)) {
                fail(&format!("DEEPFLOW_BPF_DIR: cannot copy {}: {error}", from.display()));
            }
        }
        write_digests(&out);
        return;
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let sources = root.join("../../bpf");
    println!("cargo::rerun-if-changed={}", sources.display());
    let sources = sources.canonicalize().unwrap_or_else(|error| {
        fail(&format!("the BPF sources {} cannot be found: {error}", sources.display()))
    });
    let clang = find_clang();
    let strip = find_strip(&clang);
    for (object, source, tier, cpu) in OBJECTS {
        compile(&clang, &sources, source, &out.join(object), tier, cpu);
        run(Command::new(&strip).arg("-g").arg(out.join(object)), "llvm-strip");
    }
    write_digests(&out);
}

/// Lists the objects as Rust: name and sha256.
fn write_digests(out: &Path) {
    let mut code = format!("[(&str, &str); {}] = [\n", OBJECTS.len());
    for (object, ..) in OBJECTS {
        let bytes = std::fs::read(out.join(object))
            .unwrap_or_else(|error| fail(&format!("{object} cannot be read: {error}")));
        let digest: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        code.push_str(&format!("    ({object:?}, {digest:?}),\n"));
    }
    let code = format!("/// Name and sha256 of each object.\npub const DIGESTS: {code}];\n");
    if let Err(error) = std::fs::write(out.join("digests.rs"), code) {
        fail(&format!("digests.rs cannot be written: {error}"));
    }
}

fn compile(clang: &str, sources: &Path, source: &str, object: &Path, tier: &str, cpu: &str) {
    let mut command = Command::new(clang);
    command
        .current_dir(sources)
        .args(["-target", "bpf", "-O2", "-g", "-std=gnu11", "-nostdinc"])
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-comment"])
        .arg(format!("-mcpu={cpu}"))
        .arg(format!("-D{tier}"))
        // Else clang 16 keeps branches whose condition is constant, with all that is behind them.
        .args(["-mllvm", "-bpf-disable-serialize-icmp"])
        // No path of the build machine may reach the object.
        .arg("-fdebug-compilation-dir=/src")
        .arg(format!("-ffile-prefix-map={}=/src", sources.display()))
        .args(["-c", source, "-o"])
        .arg(object);
    run(&mut command, "clang");
}

fn run(command: &mut Command, what: &str) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => fail(&format!("{what} failed:\n{}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => fail(&format!("{what} cannot be started: {error}")),
    }
}

fn find_clang() -> String {
    if let Ok(named) = env::var("DEEPFLOW_CLANG") {
        if version(&named).is_none() {
            fail(&format!("DEEPFLOW_CLANG={named} is not a clang that starts"));
        }
        return named;
    }
    let mut names = vec!["clang-16".to_owned()];
    names.extend((CLANG_OLDEST..30).rev().map(|number| format!("clang-{number}")));
    names.push("clang".to_owned());
    names
        .into_iter()
        .find(|name| version(name).is_some_and(|found| found >= CLANG_OLDEST))
        .unwrap_or_else(|| {
            fail(
                "no clang of version 14 or newer was found, which builds the BPF objects: install \
                 the packages clang-16 and llvm-16, or set DEEPFLOW_CLANG to one, or \
                 DEEPFLOW_BPF_DIR to a folder of prebuilt objects",
            )
        })
}

/// `llvm-strip` of the same LLVM: beside clang, or with its version suffix.
fn find_strip(clang: &str) -> String {
    let named = env::var("DEEPFLOW_LLVM_STRIP").ok();
    let suffixed = clang.replace("clang", "llvm-strip");
    let major = version(clang).unwrap_or(0);
    named
        .into_iter()
        .chain([suffixed, format!("llvm-strip-{major}"), "llvm-strip".to_owned()])
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success()))
        .unwrap_or_else(|| {
            fail("llvm-strip was not found: install the package llvm-16 or set DEEPFLOW_LLVM_STRIP")
        })
}

/// Major version of a clang, `None` if it does not start.
fn version(clang: &str) -> Option<u32> {
    let output = Command::new(clang).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rest = text.split("version ").nth(1)?;
    rest.split('.').next()?.trim().parse().ok()
}

fn fail(message: &str) -> ! {
    println!("cargo::error={}", message.replace('\n', "%0A"));
    eprintln!("{message}");
    exit(1);
}
