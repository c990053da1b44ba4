//! CycloneDX 1.5, as JSON.

use serde_json::{Value, json};

use super::{Component, Materials};

/// The bill of materials of an image.
#[must_use]
pub fn document(image: &str, version: &str, materials: &Materials) -> Value {
    let reference = format!("pkg:oci/{image}@{version}");
    let components: Vec<Value> =
        materials.components.iter().map(|(url, one)| component(url, one)).collect();
    let used = materials.components.iter().map(|(url, component)| {
        json!({ "ref": url, "dependsOn": component.uses.iter().collect::<Vec<_>>() })
    });
    let of_image = json!({ "ref": reference, "dependsOn": materials.roots });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container", "bom-ref": reference, "name": image, "version": version,
            },
            "tools": { "components": [{
                "type": "application",
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
            }]},
        },
        "components": components,
        "dependencies": std::iter::once(of_image).chain(used).collect::<Vec<_>>(),
    })
}

fn component(url: &str, one: &Component) -> Value {
    let mut value = json!({
        "type": "library", "bom-ref": url, "purl": url, "name": one.name, "version": one.version,
    });
    if let Some(licence) = &one.licence {
        value["licenses"] = json!([{ "expression": licence }]);
    }
    if let Some(sha256) = &one.sha256 {
        value["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
    }
    value
}
