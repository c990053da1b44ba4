//! The web page's files, built into the program.

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Contents.
    pub bytes: &'static [u8],
    /// Value of the header Content-Type.
    pub content_type: &'static str,
}

/// Finds the file of a path without its leading slash; the empty path is `index.html`.
pub fn find(path: &str) -> Option<Asset> {
    let path = if path.is_empty() { "index.html" } else { path };
    let at = FILES.binary_search_by(|(name, _)| (*name).cmp(path)).ok()?;
    Some(Asset { bytes: FILES[at].1, content_type: content_type(path) })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_what_it_loads_are_there() {
        let page = find("").expect("index.html");
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        let text = std::str::from_utf8(page.bytes).expect("UTF-8");
        for part in text.split(['"', '\'']).filter(|p| p.ends_with(".js") || p.ends_with(".css")) {
            assert!(find(part).is_some(), "index.html loads {part}");
        }
        assert!(find("package.json").is_none() && find("../Cargo.toml").is_none());
    }

    #[test]
    fn the_table_is_sorted_for_its_search() {
        assert!(FILES.is_sorted_by(|a, b| a.0 < b.0));
    }
}
