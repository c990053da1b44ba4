//! SPDX 2.3, as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Component, Materials};
use crate::blob::sha256;

/// What the standard wants a time for.
const CREATED: &str = "1970-01-01T00:00:00Z";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const UNKNOWN: &str = "NOASSERTION";

/// The bill of materials of an image.
#[must_use]
pub fn document(image: &str, version: &str, materials: &Materials) -> Value {
    let ids: BTreeMap<&String, String> = materials
        .components
        .iter()
        .enumerate()
        .map(|(number, (url, one))| (url, format!("SPDXRef-{number}-{}", id_text(&one.name))))
        .collect();
    let mut packages = vec![json!({
        "SPDXID": IMAGE, "name": image, "versionInfo": version, "downloadLocation": UNKNOWN,
        "filesAnalyzed": false, "licenseConcluded": UNKNOWN, "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN, "primaryPackagePurpose": "CONTAINER",
    })];
    packages.extend(materials.components.iter().map(|(url, one)| package(&ids[url], url, one)));

    let relate = |from: &str, kind: &str, to: &str| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to });
    let mut relationships = vec![relate(DOCUMENT, "DESCRIBES", IMAGE)];
    let known = |url: &String| ids.get(url);
    relationships
        .extend(materials.roots.iter().filter_map(known).map(|id| relate(IMAGE, "CONTAINS", id)));
    for (url, component) in &materials.components {
        let used = component.uses.iter().filter_map(known);
        relationships.extend(used.map(|id| relate(&ids[url], "DEPENDS_ON", id)));
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": format!("{image}-{version}"),
        "creationInfo": {
            "created": CREATED,
            "creators": [concat!("Tool: ", env!("CARGO_PKG_NAME"), "-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    });
    // Unique to a content, as the standard wants, and the same for the same content.
    let digest = sha256(document.to_string().as_bytes());
    document["documentNamespace"] = json!(format!("urn:deepflow:spdx:{digest}"));
    document
}

fn package(id: &str, url: &str, one: &Component) -> Value {
    let mut value = json!({
        "SPDXID": id, "name": one.name, "versionInfo": one.version, "downloadLocation": UNKNOWN,
        "filesAnalyzed": false, "licenseConcluded": UNKNOWN,
        "licenseDeclared": one.licence.as_deref().unwrap_or(UNKNOWN),
        "copyrightText": UNKNOWN,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
            "referenceLocator": url,
        }],
    });
    if let Some(sha256) = &one.sha256 {
        value["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": sha256 }]);
    }
    value
}

/// Letters, digits, dots and hyphens alone may stand in an id.
fn id_text(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}
