//! Where an image comes from: an in-toto statement (v1) with SLSA's provenance (v1) as predicate.
//!
//! In: source revision, locked tools, digests of what was given. Out: the document. Never: who
//! built, where or when, as that would differ between two builds of the same.

use serde_json::{Value, json};

use crate::tools::Tool;

/// A file or folder that went into the image.
#[derive(Debug)]
pub struct Given {
    /// Path in the image.
    pub path: String,
    /// sha256 of its bytes.
    pub sha256: String,
}

/// The document.
#[must_use]
pub fn document(parameters: &Value, revision: &str, tools: &[Tool], given: &[Given]) -> Value {
    let subject =
        given.iter().map(|one| json!({ "name": one.path, "digest": digest(&one.sha256) }));
    let source = json!({ "name": "source", "digest": { "gitCommit": revision } });
    let used = tools.iter().map(|tool| {
        json!({
            "name": tool.name,
            "digest": digest(&tool.sha256),
            "annotations": { "version": tool.version, "architecture": tool.architecture },
        })
    });
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject.collect::<Vec<_>>(),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:deepflow:images:1",
                "externalParameters": parameters,
                "resolvedDependencies": std::iter::once(source).chain(used).collect::<Vec<_>>(),
            },
            "runDetails": { "builder": {
                "id": concat!("urn:deepflow:", env!("CARGO_PKG_NAME")),
                "version": { "images": env!("CARGO_PKG_VERSION") },
            }},
        },
    })
}

fn digest(sha256: &str) -> Value {
    json!({ "sha256": sha256 })
}
