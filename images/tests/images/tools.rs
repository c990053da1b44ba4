//! Other people's tools take the archives: skopeo and umoci, where they are installed.

use std::path::Path;
use std::process::Command;

use super::fixture::{Site, images, output};

/// Whether a tool is here; it is said when not.
fn is_here(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        println!("not run: no {tool} here; it is Debian's package of that name");
    }
    found
}

fn joined(site: &Site) -> String {
    for architecture in ["x86_64", "aarch64"] {
        site.build(architecture).expect("built");
    }
    let archives = [site.output("x86_64"), site.output("aarch64")];
    let words = ["index".into(), "--output".into(), site.output("all")];
    images(words.into_iter().chain(archives)).expect("joined");
    site.output("all").display().to_string()
}

#[test]
fn skopeo_takes_them() {
    if !is_here("skopeo") {
        return;
    }
    let site = Site::new();
    let all = joined(&site);
    for (oci_name, architecture) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        let one = format!("oci-archive:{}", site.output(architecture).display());
        let told = skopeo(&["--override-arch", oci_name, "inspect", &one]);
        assert!(told.contains(&format!("\"Architecture\": \"{oci_name}\"")), "{told}");
        let from_all = format!("oci-archive:{all}");
        let told = skopeo(&["--override-arch", oci_name, "inspect", &from_all]);
        assert!(told.contains(&format!("\"Architecture\": \"{oci_name}\"")), "{told}");

        let docker = format!("docker-archive:{}", site.output(architecture).display());
        let copy = format!("dir:{}", site.at(&format!("copy-{oci_name}")).display());
        skopeo(&["--override-arch", oci_name, "copy", "--insecure-policy", &docker, &copy]);
    }
    let copy = format!("oci:{}", site.at("copy-all").display());
    skopeo(&["copy", "--all", "--insecure-policy", &format!("oci-archive:{all}"), &copy]);
}

fn skopeo(words: &[&str]) -> String {
    let (global, words) = words.split_at(if words[0].starts_with("--") { 2 } else { 0 });
    let (policy, words): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| **word == "--insecure-policy");
    let mut command = Command::new("skopeo");
    output(command.args(policy).args(global).args(&words)).expect("skopeo")
}

#[test]
fn umoci_unpacks_them() {
    if !is_here("umoci") {
        return;
    }
    let site = Site::new();
    site.build("x86_64").expect("built");
    let layout = site.at("layout");
    std::fs::create_dir(&layout).expect("made");
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(site.output("x86_64")).arg("-C").arg(&layout);
    output(&mut tar).expect("tar");
    let bundle = site.at("bundle");
    let image = format!("{}:1.2.3", layout.display());
    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--rootless", "--image", &image]).arg(&bundle);
    output(&mut umoci).expect("umoci");
    let program = Path::new("rootfs/usr/bin/deepflow-agent");
    let unpacked = std::fs::read(bundle.join(program)).expect("a program");
    assert_eq!(unpacked, std::fs::read(site.at("agent-x86_64")).expect("a program"));
    assert!(bundle.join("config.json").is_file());
}
