//! Bills of materials: what is in them, and what is not.

use std::process::Command;

use serde_json::{Value, json};

use super::fixture::{Site, output};
use super::{archive, json as document, root_of};

/// A graph with each kind of edge.
pub const METADATA: &str = r#"{
  "packages": [
    { "id": "a", "name": "agentd", "version": "0.1.0", "license": "Apache-2.0", "source": null,
      "targets": [{ "kind": ["bin"] }] },
    { "id": "s", "name": "serde", "version": "1.0.0", "license": "MIT/Apache-2.0",
      "source": "registry", "targets": [{ "kind": ["lib"] }] },
    { "id": "m", "name": "macros", "version": "1.0.0", "license": null, "source": "registry",
      "targets": [{ "kind": ["proc-macro"] }] },
    { "id": "q", "name": "below_macros", "version": "1.0.0", "license": null, "source": "registry",
      "targets": [{ "kind": ["lib"] }] },
    { "id": "c", "name": "compiler", "version": "1.0.0", "license": null, "source": "registry",
      "targets": [{ "kind": ["lib"] }] },
    { "id": "b", "name": "below", "version": "2.0.0+spec", "license": "MIT", "source": "registry",
      "targets": [{ "kind": ["lib"] }] },
    { "id": "u", "name": "unused", "version": "1.0.0", "license": null, "source": "registry",
      "targets": [{ "kind": ["lib"] }] }
  ],
  "resolve": { "nodes": [
    { "id": "a", "deps": [
      { "pkg": "s", "dep_kinds": [{ "kind": null }, { "kind": "dev" }] },
      { "pkg": "m", "dep_kinds": [{ "kind": null }] },
      { "pkg": "c", "dep_kinds": [{ "kind": "build" }, { "kind": "dev" }] }
    ]},
    { "id": "s", "deps": [{ "pkg": "b", "dep_kinds": [{ "kind": null }] }] },
    { "id": "m", "deps": [{ "pkg": "q", "dep_kinds": [{ "kind": null }] }] },
    { "id": "q", "deps": [] }, { "id": "c", "deps": [] }, { "id": "b", "deps": [] },
    { "id": "u", "deps": [] }
  ]}
}"#;

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect()
}

#[test]
fn what_is_linked_is_told_and_nothing_else() {
    let site = Site::new();
    site.build("x86_64").expect("built");
    let listing = archive(&site.output("x86_64"));
    let (_, root) = root_of(&listing, &document(&listing, "index.json")["manifests"][0]);

    let cyclonedx = document(&root, "usr/share/sbom/deepflow-agent.cdx.json");
    assert_eq!(cyclonedx["specVersion"], "1.5");
    assert_eq!(names(&cyclonedx["components"]), ["agentd", "below", "serde"]);
    assert_eq!(cyclonedx["components"][1]["purl"], "pkg:cargo/below@2.0.0%2Bspec");
    assert_eq!(
        cyclonedx["components"][2]["licenses"],
        json!([{ "expression": "MIT OR Apache-2.0" }])
    );
    let uses = &cyclonedx["dependencies"];
    assert_eq!(
        uses[1],
        json!({ "ref": "pkg:cargo/agentd@0.1.0", "dependsOn": ["pkg:cargo/serde@1.0.0"] })
    );

    let spdx = document(&root, "usr/share/sbom/deepflow-agent.spdx.json");
    assert_eq!(spdx["spdxVersion"], "SPDX-2.3");
    assert_eq!(names(&spdx["packages"]), ["deepflow-agent", "agentd", "below", "serde"]);
    let edges = spdx["relationships"].as_array().expect("relationships");
    let kinds: Vec<&str> =
        edges.iter().filter_map(|one| one["relationshipType"].as_str()).collect();
    assert_eq!(kinds, ["DESCRIBES", "CONTAINS", "DEPENDS_ON", "DEPENDS_ON"]);
}

#[test]
fn tools_that_ship_are_told() {
    let site = Site::new();
    let text = std::fs::read_to_string(site.at("agent.toml")).expect("agent.toml");
    site.put(
        "agent.toml",
        text.replace("name = \"agent\"\n", "name = \"agent\"\nships = [\"libchdb\"]\n").as_bytes(),
    );
    site.build("x86_64").expect("built");
    let listing = archive(&site.output("x86_64"));
    let (_, root) = root_of(&listing, &document(&listing, "index.json")["manifests"][0]);
    let cyclonedx = document(&root, "usr/share/sbom/deepflow-agent.cdx.json");
    assert_eq!(cyclonedx["components"][3]["hashes"][0]["content"], "3".repeat(64));
    let told = site.build("aarch64").expect_err("that architecture has no such tool");
    assert!(told.contains("tools.toml") && told.contains("libchdb"), "{told}");
}

#[test]
fn this_workspace_has_the_crates_it_is_known_to_have() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--locked"]);
    command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let metadata = output(command.current_dir(env!("CARGO_MANIFEST_DIR"))).expect("metadata");
    let of = |root: &str| {
        let found = images::sbom::crates::materials(&metadata, &[root.to_owned()]);
        let found = found.expect("materials").components;
        move |name: &str| found.values().any(|one| one.name == name)
    };
    let (agent, server) = (of("agentd"), of("serverd"));
    for name in ["agentd", "aya", "l7", "quinn", "ring", "zstd-sys"] {
        assert!(agent(name), "the agent has {name}");
    }
    for name in ["proptest", "serde_derive", "syn", "sqlx", "cc", "windows-sys"] {
        assert!(!agent(name), "the agent does not have {name}");
    }
    assert!(server("sqlx") && server("axum") && !server("aya"));
}
