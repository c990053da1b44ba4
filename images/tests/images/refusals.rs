//! What is wrong with the input is said by its name, and nothing is written.

use std::fs;

use super::fixture::{Elf, Site, images};

/// Builds, and is refused with all of the words.
#[track_caller]
fn refused(site: &Site, change: impl Fn(&mut Vec<String>), words: &[&str]) {
    let mut arguments = site.words("x86_64");
    change(&mut arguments);
    let told = images(arguments.into_iter().map(Into::into)).expect_err("refused");
    for word in words {
        assert!(told.contains(word), "{word:?} is not in: {told}");
    }
    assert!(!site.output("x86_64").exists(), "an archive in spite of it");
}

fn set(name: &'static str, value: &str) -> impl Fn(&mut Vec<String>) {
    move |words| {
        let at = words.iter().position(|word| word == name).expect("an argument");
        words[at + 1] = value.to_owned();
    }
}

#[test]
fn missing_files_are_named() {
    let site = Site::new();
    for name in ["--image", "--tools", "--metadata", "--licences"] {
        refused(&site, set(name, "/nonexistent/file"), &["/nonexistent/file"]);
    }
    refused(&site, set("--input", "agent=/nonexistent/file"), &["agent", "/nonexistent/file"]);
    refused(&site, set("--input", "other=/etc/hostname"), &["input agent is missing"]);
    let add = |words: &mut Vec<String>| words.extend(["--input", "other=/"].map(str::to_owned));
    refused(&site, add, &["other", "agent.toml"]);
}

#[test]
fn changed_files_are_named() {
    let site = Site::new();
    let with = |hex: &str| {
        let hex = format!("agent={hex}");
        move |words: &mut Vec<String>| words.extend(["--sha256".to_owned(), hex.clone()])
    };
    refused(&site, with(&"0".repeat(64)), &["agent-x86_64", "has changed", &"0".repeat(64)]);
    refused(&site, with("12"), &["agent", "no sha256"]);
    let mut words = site.words("x86_64");
    with(&images::blob::sha256(&Elf::static_for(62).bytes()))(&mut words);
    images(words.into_iter().map(Into::into)).expect("built");
}

#[test]
fn foreign_keys_are_named() {
    let site = Site::new();
    let text = fs::read_to_string(site.at("agent.toml")).expect("agent.toml");
    let cases = [
        (text.replace("[process]", "[process]\nshell = \"sh\""), "shell"),
        (text.replace("\"0755\"", "\"9755\""), "9755"),
        (text.replace("input = \"agent\"", "input = \"agent\"\nowner = 1"), "owner"),
        (text.replace("\"CAP_BPF\"", "\"BPF\""), "BPF"),
        (text.replace("path = \"/usr/bin/deepflow-agent\"", "path = \"/usr/../x\""), "entrypoint"),
        (text.replace("volumes = [", "volumes = [\"/x/../y\", "), "/x/../y"),
        (text.replace("volumes = [", "volumes = [\"/unmade\", "), "/unmade"),
    ];
    for (changed, word) in cases {
        assert_ne!(changed, text);
        site.put("agent.toml", changed.as_bytes());
        refused(&site, |_| {}, &["agent.toml", word]);
    }
}

#[test]
fn programs_of_the_wrong_kind_are_named() {
    let site = Site::new();
    let right = Elf::static_for(62);
    let dynamic = Elf { interpreter: Some("/lib64/ld.so"), tags: vec![1], ..right.clone() };
    let cases = [
        (dynamic.bytes(), "/lib64/ld.so"),
        (Elf { tags: vec![1], ..right.clone() }.bytes(), "1 libraries"),
        (Elf { tags: vec![29], ..right.clone() }.bytes(), "RUNPATH"),
        (Elf { kind: 2, ..right.clone() }.bytes(), "position-independent"),
        (Elf::static_for(183).bytes(), "machine 183"),
        (b"#!/bin/sh\n".to_vec(), "no ELF"),
        (right.bytes()[..70].to_vec(), "cut short"),
    ];
    for (bytes, word) in cases {
        site.put("agent-x86_64", &bytes);
        refused(&site, |_| {}, &["agent-x86_64", word]);
    }
}

#[test]
fn no_cut_or_changed_header_is_fatal() {
    let whole = Elf { interpreter: Some("/lib/ld.so"), tags: vec![1, 29], ..Elf::static_for(62) };
    let bytes = whole.bytes();
    for length in 0..bytes.len() {
        let _ = images::elf::read(&bytes[..length]);
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = bytes.clone();
            changed[length] = value;
            let _ = images::elf::read(changed.as_slice());
        }
    }
}

#[test]
fn dynamic_programs_need_their_interpreter_in_the_image() {
    let site = Site::new();
    let text = fs::read_to_string(site.at("agent.toml")).expect("agent.toml");
    let tree = "[[layer.tree]]\npath = \"/\"\ninput = \"runtime\"\n";
    let text = text.replace("\"static-pie\"", "\"dynamic\"") + tree;
    site.put("agent.toml", text.as_bytes());
    let program = Elf { interpreter: Some("/lib64/ld.so"), ..Elf::static_for(62) };
    site.put("agent-x86_64", &program.bytes());
    site.put("runtime/lib/libc.so.6", b"");
    let runtime = format!("runtime={}", site.at("runtime").display());
    let add = |words: &mut Vec<String>| words.extend(["--input".to_owned(), runtime.clone()]);
    refused(&site, add, &["agent-x86_64", "/lib64/ld.so", "not in the image"]);
    site.put("runtime/lib64/ld.so", b"");
    let mut words = site.words("x86_64");
    add(&mut words);
    images(words.into_iter().map(Into::into)).expect("built");
}

#[test]
fn dirty_trees_and_odd_versions_are_refused() {
    let site = Site::new();
    let dirty = format!("{}-dirty", super::fixture::REVISION);
    refused(&site, set("--revision", &dirty), &["dirty"]);
    refused(&site, set("--version", "1 2"), &["1 2"]);
    site.put("tools.toml", b"[[tool]]\nname = \"x\"\nversion = \"1\"\nsha256 = \"12\"\n");
    refused(&site, |_| {}, &["tools.toml", "x", "sha256"]);
}

#[test]
fn damaged_archives_are_refused() {
    let site = Site::new();
    site.build("x86_64").expect("built");
    let whole = fs::read(site.output("x86_64")).expect("an archive");
    // A byte of the first blob: behind the headers of two folders and of the blob itself.
    for at in [512 * 3 + 7, whole.len() / 2 / 512 * 512 + 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        site.put("changed.tar", &changed);
        let told = images(["verify".into(), site.at("changed.tar")]).expect_err("refused");
        assert!(told.contains("changed.tar"), "{told}");
    }
    site.put("changed.tar", &whole[..whole.len() / 2]);
    images(["verify".into(), site.at("changed.tar")]).expect_err("refused");
    let twice = [
        "index".into(),
        "--output".into(),
        site.output("all"),
        site.output("x86_64"),
        site.output("x86_64"),
    ];
    let told = images(twice).expect_err("refused");
    assert!(told.contains("one architecture"), "{told}");
}
