//! The builder as Nix and Bazel call it: a program, files in, an archive out.

#[path = "images/fixture.rs"]
mod fixture;
#[path = "images/materials.rs"]
mod materials;
#[path = "images/refusals.rs"]
mod refusals;
#[path = "images/tools.rs"]
mod tools;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use fixture::{Elf, Site};
use serde_json::Value;

/// What is in a tar: path → mode, and bytes of files.
type Listing = BTreeMap<String, (u32, Vec<u8>)>;

fn listing(tar: impl Read) -> Listing {
    let mut found = Listing::new();
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let header = entry.header();
        assert_eq!((header.uid().ok(), header.gid().ok()), (Some(0), Some(0)));
        assert_eq!(header.mtime().ok(), Some(0));
        let mode = header.mode().expect("a mode");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("content");
        assert!(found.insert(path, (mode, bytes)).is_none());
    }
    found
}

fn archive(path: &Path) -> Listing {
    listing(std::fs::File::open(path).expect("an archive"))
}

fn json(listing: &Listing, path: &str) -> Value {
    serde_json::from_slice(&listing[path].1).expect("JSON")
}

/// The document a descriptor leads to, and its digest and size hold.
fn follow(listing: &Listing, descriptor: &Value) -> Vec<u8> {
    let hex = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    let hex = hex.expect("a digest");
    let bytes = &listing[&format!("blobs/sha256/{hex}")].1;
    assert_eq!(images::blob::sha256(bytes), hex);
    assert_eq!(descriptor["size"], bytes.len());
    bytes.clone()
}

/// All layers of a manifest, laid over each other, after the walk manifest → config → layers.
fn root_of(listing_of: &Listing, manifest: &Value) -> (Value, Listing) {
    let manifest: Value = serde_json::from_slice(&follow(listing_of, manifest)).expect("JSON");
    let config: Value =
        serde_json::from_slice(&follow(listing_of, &manifest["config"])).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers");
    let diffs = config["rootfs"]["diff_ids"].as_array().expect("diff ids");
    assert_eq!(layers.len(), diffs.len());
    let mut root = Listing::new();
    for (layer, diff) in layers.iter().zip(diffs) {
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(follow(listing_of, layer).as_slice())
            .read_to_end(&mut tar)
            .expect("gzip");
        assert_eq!(*diff, format!("sha256:{}", images::blob::sha256(&tar)));
        root.extend(listing(tar.as_slice()));
    }
    (config, root)
}

#[test]
fn an_image_is_what_its_description_says() {
    let site = Site::new();
    site.build("x86_64").expect("built");
    let listing = archive(&site.output("x86_64"));
    let index = json(&listing, "index.json");
    assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "1.2.3");
    assert_eq!(index["manifests"][0]["platform"]["architecture"], "amd64");
    let (config, root) = root_of(&listing, &index["manifests"][0]);

    let program = &root["usr/bin/deepflow-agent"];
    assert_eq!(program.0, 0o755);
    assert_eq!(program.1, Elf::static_for(62).bytes());
    assert_eq!(root["var/lib/deepflow-agent/"].0, 0o700);
    assert_eq!(root["usr/"].0, 0o755);
    assert_eq!(root["usr/share/licenses/deepflow-agent/LICENSE"], (0o644, b"Do.\n".to_vec()));

    let run = &config["config"];
    assert_eq!(run["Entrypoint"][0], "/usr/bin/deepflow-agent");
    assert!(run["Volumes"]["/var/lib/deepflow-agent"].is_object());
    let labels = &run["Labels"];
    assert_eq!(labels["org.opencontainers.image.revision"], fixture::REVISION);
    assert_eq!(labels["org.opencontainers.image.version"], "1.2.3");
    assert!(labels["io.deepflow.capabilities"].as_str().is_some_and(|l| l.starts_with("CAP_BPF,")));
    assert_eq!(labels["io.deepflow.capabilities.optional"], "CAP_SYS_ADMIN");

    let docker = json(&listing, "manifest.json");
    assert_eq!(docker[0]["RepoTags"][0], "deepflow-agent:1.2.3");
    assert!(listing.contains_key(docker[0]["Config"].as_str().expect("a path")));
}

#[test]
fn provenance_names_revision_tools_and_what_was_given() {
    let site = Site::new();
    site.build("aarch64").expect("built");
    let listing = archive(&site.output("aarch64"));
    let (_, root) = root_of(&listing, &json(&listing, "index.json")["manifests"][0]);
    let document = json(&root, "usr/share/provenance/deepflow-agent.provenance.json");
    let program = images::blob::sha256(&Elf::static_for(183).bytes());
    assert_eq!(document["subject"][0]["name"], "/usr/bin/deepflow-agent");
    assert_eq!(document["subject"][0]["digest"]["sha256"], program);
    let used = &document["predicate"]["buildDefinition"]["resolvedDependencies"];
    assert_eq!(used[0]["digest"]["gitCommit"], fixture::REVISION);
    // The other architecture's tool is not among them.
    let names: Vec<&str> =
        used.as_array().expect("tools").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["source", "clang", "rust"]);
    assert_eq!(used[2]["annotations"]["version"], "1.95.0");
}

#[test]
fn folder_mask_zone_and_time_leave_no_trace() {
    let (one, other) = (Site::new(), Site::new());
    one.build("x86_64").expect("built");
    other.make_strange();
    other
        .build_under(
            "x86_64",
            "umask 077; export TZ=Asia/Kathmandu LC_ALL=C SOURCE_DATE_EPOCH=1234567890 HOME=/",
        )
        .expect("built");
    let read = |site: &Site| std::fs::read(site.output("x86_64")).expect("an archive");
    assert_eq!(images::blob::sha256(&read(&one)), images::blob::sha256(&read(&other)));
}

#[test]
fn several_architectures_are_one_image() {
    let site = Site::new();
    for architecture in ["x86_64", "aarch64"] {
        site.build(architecture).expect("built");
    }
    let joined = site.output("all");
    let archives = [site.output("x86_64"), site.output("aarch64")];
    let words = |first: usize| {
        [
            "index".into(),
            "--output".into(),
            joined.clone(),
            archives[first].clone(),
            archives[1 - first].clone(),
        ]
    };
    fixture::images(words(0)).expect("joined");
    let first = std::fs::read(&joined).expect("an archive");
    fixture::images(words(1)).expect("joined");
    assert_eq!(first, std::fs::read(&joined).expect("an archive"), "order matters");

    let listing = archive(&joined);
    let top = json(&listing, "index.json");
    let nested: Value =
        serde_json::from_slice(&follow(&listing, &top["manifests"][0])).expect("JSON");
    let manifests = nested["manifests"].as_array().expect("manifests");
    let called: Vec<&str> =
        manifests.iter().filter_map(|one| one["platform"]["architecture"].as_str()).collect();
    assert_eq!(called, ["arm64", "amd64"]);
    for (manifest, machine) in manifests.iter().zip([183, 62]) {
        let (_, root) = root_of(&listing, manifest);
        assert_eq!(root["usr/bin/deepflow-agent"].1, Elf::static_for(machine).bytes());
    }
    let told = fixture::images(["verify".into(), joined]).expect("verified");
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn the_page_tells_what_the_descriptions_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(folder.join("../docs/images.md")).expect("docs/images.md");
    for name in ["agent.toml", "server.toml"] {
        let description = images::description::Description::load(&folder.join(name));
        let told = description.expect("a description").markdown();
        assert!(
            page.contains(&told),
            "docs/images.md: put in what `images describe` prints:\n{told}"
        );
    }
}

#[test]
fn licences_are_those_of_what_is_linked() {
    let site = Site::new();
    let manifest = |name: &str| site.at(name).join("Cargo.toml").display().to_string();
    let mut metadata: Value =
        serde_json::from_str(materials::METADATA).expect("metadata of the fixture");
    for package in metadata["packages"].as_array_mut().expect("packages") {
        let name = package["name"].as_str().expect("a name").to_owned();
        package["manifest_path"] = manifest(&format!("crates/{name}")).into();
        site.put(&format!("crates/{name}/LICENSE-MIT"), name.as_bytes());
    }
    site.put("metadata.json", metadata.to_string().as_bytes());
    let words = ["licences", "--image", "agent.toml", "--metadata", "metadata.json"];
    let words = words.map(|word| if word.contains('.') { site.at(word) } else { word.into() });
    let rest = ["--own".into(), site.at("licences/LICENSE"), "--output".into(), site.at("texts")];
    let told = fixture::images(words.into_iter().chain(rest)).expect("gathered");
    assert!(told.contains("0 of them ship no text"), "{told}");
    let list = std::fs::read_to_string(site.at("texts/CRATES.txt")).expect("a list");
    assert!(list.lines().count() > 0, "{list}");
    for line in list.lines() {
        let name = line.split(": ").next().expect("a name");
        let text = std::fs::read_to_string(site.at(&format!("texts/{name}/LICENSE-MIT")));
        assert!(name.starts_with(&text.expect("a text")), "{name}");
    }
    assert_eq!(std::fs::read(site.at("texts/LICENSE")).expect("ours"), b"Do.\n");
}

#[test]
fn a_path_of_the_build_is_found_in_a_program() {
    let site = Site::new();
    let mut bytes = Elf::static_for(62).bytes();
    bytes.extend(b"\0panicked at /home/user/tree/agent/main.rs\0");
    site.put("program", &bytes);
    let inspect = |word: &str| {
        let words = ["inspect", "--architecture", "x86_64", "--without", word].map(Into::into);
        fixture::images(words.into_iter().chain([site.at("program")]))
    };
    inspect("/home/other").expect("clean");
    let told = inspect("/home/user").expect_err("refused");
    assert!(told.contains("at /home/user/tree/agent/main.rs"), "{told}");
}

#[test]
fn a_layer_can_be_for_one_architecture() {
    let site = Site::new();
    let text = std::fs::read_to_string(site.at("agent.toml")).expect("agent.toml");
    let layer = "[[layer]]\nname = \"more\"\narchitectures = [\"aarch64\"]\n\
                 ships = [\"no-such-tool\"]\n[[layer.folder]]\npath = \"/more\"\nmode = \"0755\"\n";
    site.put("agent.toml", format!("{text}{layer}").as_bytes());
    site.build("x86_64").expect("built");
    let listing = archive(&site.output("x86_64"));
    let (_, root) = root_of(&listing, &json(&listing, "index.json")["manifests"][0]);
    assert!(!root.contains_key("more/"));
    assert!(site.build("aarch64").expect_err("refused").contains("no-such-tool"));
}
