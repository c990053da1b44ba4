//! A folder with everything that an image is made of, and the program that makes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// Of the source.
pub const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

const TOOLS: &str = r#"
[[tool]]
name = "rust"
version = "1.95.0"
sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
brought_by = "rustup"

[[tool]]
name = "clang"
version = "16"
sha256 = "2222222222222222222222222222222222222222222222222222222222222222"

[[tool]]
name = "libchdb"
version = "1"
architecture = "x86_64"
sha256 = "3333333333333333333333333333333333333333333333333333333333333333"
"#;

/// An ELF file of headers alone.
#[derive(Debug, Clone)]
pub struct Elf {
    /// `e_machine`.
    pub machine: u16,
    /// `e_type`.
    pub kind: u16,
    /// `PT_INTERP`.
    pub interpreter: Option<&'static str>,
    /// Tags of `PT_DYNAMIC`.
    pub tags: Vec<u64>,
}

impl Elf {
    /// A static program.
    pub fn static_for(machine: u16) -> Self {
        Self { machine, kind: 3, interpreter: None, tags: vec![] }
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let interpreter =
            self.interpreter.map(|path| [path.as_bytes(), b"\0"].concat()).unwrap_or_default();
        let mut dynamic = Vec::new();
        for tag in self.tags.iter().chain([&0]) {
            dynamic.extend(tag.to_le_bytes());
            dynamic.extend(0u64.to_le_bytes());
        }
        let segments = [(2u32, &dynamic), (3, &interpreter)];
        let used = segments.iter().filter(|(_, content)| !content.is_empty()).count();
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[16..18].copy_from_slice(&self.kind.to_le_bytes());
        file[18..20].copy_from_slice(&self.machine.to_le_bytes());
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        file[56..58].copy_from_slice(&(used as u16).to_le_bytes());
        let mut at = 64 + 56 * used;
        for (kind, content) in segments.iter().filter(|(_, content)| !content.is_empty()) {
            let mut header = [0; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            header[8..16].copy_from_slice(&(at as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
            file.extend(header);
            at += content.len();
        }
        segments.iter().for_each(|(_, content)| file.extend(content.iter()));
        file
    }
}

/// Everything that the agent's image is made of.
pub struct Site {
    folder: TempDir,
}

impl Site {
    /// A new folder.
    pub fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().expect("a folder") };
        site.put("agent-x86_64", &Elf::static_for(62).bytes());
        site.put("agent-aarch64", &Elf::static_for(183).bytes());
        site.put("tools.toml", TOOLS.as_bytes());
        site.put("metadata.json", super::materials::METADATA.as_bytes());
        site.put("licences/LICENSE", b"Do.\n");
        site.put("licences/serde/LICENSE", b"Do too.\n");
        let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("agent.toml");
        site.put("agent.toml", &fs::read(description).expect("agent.toml"));
        site
    }

    /// A path in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }

    /// Where the archive for an architecture goes.
    pub fn output(&self, architecture: &str) -> PathBuf {
        self.at(&format!("image-{architecture}.tar"))
    }

    /// Other times and other permissions, which images do not carry.
    pub fn make_strange(&self) {
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for name in ["agent-x86_64", "licences/LICENSE", "licences/serde/LICENSE"] {
            let path = self.at(name);
            let file = fs::File::options().write(true).open(&path).expect("open");
            file.set_modified(then).expect("a time");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
        }
    }

    /// The words that build an image, as Nix and Bazel say them.
    pub fn words(&self, architecture: &str) -> Vec<String> {
        let path = |name: &str| self.at(name).display().to_string();
        let program = format!("agent={}", path(&format!("agent-{architecture}")));
        let words = [
            ("--image", path("agent.toml")),
            ("--architecture", architecture.to_owned()),
            ("--version", "1.2.3".to_owned()),
            ("--revision", REVISION.to_owned()),
            ("--tools", path("tools.toml")),
            ("--metadata", path("metadata.json")),
            ("--licences", path("licences")),
            ("--input", program),
            ("--output", self.output(architecture).display().to_string()),
        ];
        let words = words.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        std::iter::once("build".to_owned()).chain(words).collect()
    }

    /// Builds; what was said where it was refused.
    pub fn build(&self, architecture: &str) -> Result<String, String> {
        images(self.words(architecture).into_iter().map(PathBuf::from))
    }

    /// Builds in a shell that did something before.
    pub fn build_under(&self, architecture: &str, before: &str) -> Result<String, String> {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{before}; exec \"$@\"")).arg("sh");
        shell.arg(env!("CARGO_BIN_EXE_images")).args(self.words(architecture)).current_dir("/");
        output(&mut shell)
    }
}

/// Runs the program.
pub fn images(words: impl IntoIterator<Item = PathBuf>) -> Result<String, String> {
    output(Command::new(env!("CARGO_BIN_EXE_images")).args(words))
}

/// What a command prints, or what it says when it fails.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().expect("a program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
