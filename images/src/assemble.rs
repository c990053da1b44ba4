//! Makes one image for one architecture.
//!
//! In: a description and what it asks for. Out: an archive. Whatever is missing, too much, changed
//! or of the wrong kind is refused by its name before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::archive::{Image, Name, write};
use crate::blob::{Blob, is_sha256, sha256_of};
use crate::description::{self, Description, Linkage};
use crate::elf;
use crate::layer::{Contents, Entry, Layer};
use crate::provenance::{self, Given};
use crate::sbom::{crates, cyclonedx, spdx};
use crate::target::Architecture;
use crate::tools::{self, Tool};

/// What tools want where there is no time.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// Labels of ours: capabilities that are needed, and those that can be left away.
const CAPABILITIES: [(&str, bool); 2] =
    [("io.deepflow.capabilities", false), ("io.deepflow.capabilities.optional", true)];

/// What to make an image of.
#[derive(Debug)]
pub struct Request {
    /// Description (`images/*.toml`).
    pub description: PathBuf,
    /// Architecture.
    pub architecture: Architecture,
    /// Version, and tag.
    pub version: String,
    /// Revision of the source.
    pub revision: String,
    /// Lock file of tools.
    pub tools: PathBuf,
    /// Output of `cargo metadata`.
    pub metadata: PathBuf,
    /// Folder of licence texts.
    pub licences: PathBuf,
    /// Files and folders by the names of the description.
    pub inputs: BTreeMap<String, PathBuf>,
    /// sha256 that inputs must have.
    pub sha256: BTreeMap<String, String>,
    /// Archive to write.
    pub output: PathBuf,
}

/// Writes the archive that is asked for.
///
/// # Errors
/// What is missing, too much, changed or of the wrong kind.
pub fn image(request: &Request) -> Result<()> {
    let description =
        Description::load(&request.description)?.for_architecture(request.architecture);
    check_words(request)?;
    let tools = tools::load(&request.tools, &description.name, request.architecture)?;
    check_inputs(&description, request)?;

    let mut given = Vec::new();
    let mut all: Vec<(&str, Contents)> = Vec::new();
    for layer in &description.layers {
        all.push((&layer.name, contents(layer, request, &mut given)?));
    }
    check_programs(&description, request, &all)?;
    all.push(("papers", papers(&description, request, &tools, &given)?));

    let scratch = request.output.parent().filter(|parent| *parent != Path::new(""));
    let scratch = scratch.unwrap_or(Path::new("."));
    let mut layers = Vec::new();
    for (name, contents) in all {
        layers.push(contents.write(name, scratch)?);
    }
    let config = Blob::of_json(&configuration(&description, request, &layers))?;
    let blobs = layers.into_iter().map(|layer| layer.blob).collect();
    let image = Image::new(request.architecture, config, blobs)?;
    let name = Name { repository: description.name, tag: request.version.clone() };
    write(&request.output, &name, vec![image])
}

fn check_words(request: &Request) -> Result<()> {
    let revision = &request.revision;
    let digits = revision.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    ensure!(
        digits && matches!(revision.len(), 40 | 64),
        "revision {revision:?} is no commit: 40 or 64 hexadecimal digits; a dirty tree has none"
    );
    let version = &request.version;
    let is_tag = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    ensure!(
        (1..=128).contains(&version.len())
            && version.bytes().all(is_tag)
            && !version.starts_with(['.', '-']),
        "version {version:?} is no tag: letters, digits, dot, hyphen and underscore"
    );
    Ok(())
}

fn check_inputs(description: &Description, request: &Request) -> Result<()> {
    let wanted: BTreeSet<&str> = description.inputs().collect();
    for name in &wanted {
        let path = request.inputs.get(*name);
        let path = path.with_context(|| format!("input {name} is missing: --input {name}=PATH"))?;
        ensure!(path.exists(), "input {name}: {} is not there", path.display());
    }
    let named = request.inputs.keys().chain(request.sha256.keys());
    if let Some(foreign) = named.into_iter().find(|name| !wanted.contains(name.as_str())) {
        bail!("input {foreign}: {} asks for no such thing", request.description.display());
    }
    for (name, wanted) in &request.sha256 {
        ensure!(is_sha256(wanted), "input {name}: {wanted:?} is no sha256");
        let path = &request.inputs[name];
        let found = file_sha256(path)?;
        ensure!(
            *wanted == found,
            "input {name}: {} has changed: sha256 {found}, not {wanted}",
            path.display()
        );
    }
    Ok(())
}

fn file_sha256(path: &Path) -> Result<String> {
    let named = || format!("file {}", path.display());
    let mut file = File::open(path).with_context(named)?;
    Ok(sha256_of(&mut file).with_context(named)?.0)
}

/// A layer's entries; the digests of its files are added to `given`.
fn contents(
    layer: &description::Layer,
    request: &Request,
    given: &mut Vec<Given>,
) -> Result<Contents> {
    let mut contents = Contents::default();
    for file in &layer.files {
        let from = &request.inputs[&file.input];
        ensure!(from.is_file(), "input {}: {} is no file", file.input, from.display());
        contents.add(&file.path, Entry::File(file.mode, from.clone()))?;
    }
    for tree in &layer.trees {
        let from = &request.inputs[&tree.input];
        ensure!(from.is_dir(), "input {}: {} is no folder", tree.input, from.display());
        contents.add_tree(&tree.path, from)?;
    }
    for folder in &layer.folders {
        contents.add(&folder.path, Entry::Folder(folder.mode))?;
    }
    for link in &layer.links {
        contents.add(&link.path, Entry::Link(link.target.clone()))?;
    }
    for (path, from) in contents.files() {
        given.push(Given { path, sha256: file_sha256(from)? });
    }
    Ok(contents)
}

/// Holds every ELF file to its description, and dynamic programs to the image.
fn check_programs(
    description: &Description,
    request: &Request,
    all: &[(&str, Contents)],
) -> Result<()> {
    for file in description.layers.iter().flat_map(|layer| &layer.files) {
        let Some(linkage) = file.linkage else { continue };
        let from = &request.inputs[&file.input];
        let named = || format!("input {}: {}", file.input, from.display());
        let opened = File::open(from).with_context(named)?;
        let elf = elf::check(&opened, linkage, request.architecture).with_context(named)?;
        if let (Linkage::Dynamic, Some(by)) = (linkage, &elf.interpreter) {
            ensure!(
                all.iter().any(|(_, contents)| contents.has_file(by)),
                "{}: its interpreter {by} is not in the image",
                named()
            );
        }
    }
    Ok(())
}

/// Licences, bills of materials, provenance.
fn papers(
    description: &Description,
    request: &Request,
    tools: &[Tool],
    given: &[Given],
) -> Result<Contents> {
    let mut contents = Contents::default();
    let (name, places) = (&description.name, &description.papers);

    let licences = &request.licences;
    ensure!(licences.is_dir(), "licences: {} is no folder", licences.display());
    let is_empty = fs::read_dir(licences)?.next().is_none();
    ensure!(!is_empty, "licences: {} is empty", licences.display());
    contents.add_tree(&places.licences, licences)?;

    let from = &request.metadata;
    let named = || format!("metadata {}", from.display());
    let metadata = fs::read_to_string(from).with_context(named)?;
    let mut materials = crates::materials(&metadata, &description.crates).with_context(named)?;
    materials
        .ship(&description.ships(), tools)
        .with_context(|| request.tools.display().to_string())?;

    let version = &request.version;
    let parameters = json!({
        "image": name, "version": version, "architecture": request.architecture.name(),
    });
    let documents = [
        (&places.sbom, "cdx", cyclonedx::document(name, version, &materials)),
        (&places.sbom, "spdx", spdx::document(name, version, &materials)),
        (
            &places.provenance,
            "provenance",
            provenance::document(&parameters, &request.revision, tools, given),
        ),
    ];
    for (folder, kind, document) in documents {
        let text = format!("{}\n", serde_json::to_string_pretty(&document)?);
        contents.add(&format!("{folder}/{name}.{kind}.json"), Entry::Text(text.into_bytes()))?;
    }
    Ok(contents)
}

/// The configuration (image-spec, `config.md`).
fn configuration(description: &Description, request: &Request, layers: &[Layer]) -> Value {
    let process = &description.process;
    let set = |names: &[String]| -> Value {
        Value::Object(names.iter().map(|name| (name.clone(), json!({}))).collect())
    };
    let environment = process.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let mut labels: BTreeMap<String, String> = description
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), fill(value, request)))
        .collect();
    for (label, optional) in CAPABILITIES {
        labels.insert(label.to_owned(), description.capability_names(optional).join(","));
    }
    let history =
        layers.iter().map(|layer| json!({ "created": CREATED, "created_by": layer.name }));
    let diffs = layers.iter().map(|layer| format!("sha256:{}", layer.diff_sha256));
    json!({
        "architecture": request.architecture.oci_name(),
        "os": "linux",
        "created": CREATED,
        "config": {
            "Entrypoint": process.entrypoint,
            "Cmd": process.command,
            "User": process.user,
            "WorkingDir": process.working_dir,
            "StopSignal": process.stop_signal,
            "Env": environment.collect::<Vec<_>>(),
            "ExposedPorts": set(&process.ports),
            "Volumes": set(&process.volumes),
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": diffs.collect::<Vec<_>>() },
        "history": history.collect::<Vec<_>>(),
    })
}

fn fill(text: &str, request: &Request) -> String {
    text.replace("{version}", &request.version)
        .replace("{revision}", &request.revision)
        .replace("{architecture}", request.architecture.name())
}
