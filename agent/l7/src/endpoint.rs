//! From a path to its endpoint: the part that does not vary.
//!
//! In: the target of an HTTP request. Out: its first segments, as many as the longest matching
//! rule keeps; neither query nor fragment.

use schema::Text;

use crate::bytes;
use crate::config::HttpEndpointConfig;

/// The endpoint of a request target.
pub(crate) fn of_path(config: &HttpEndpointConfig, target: &[u8], limit: usize) -> Text {
    if config.extraction_disabled {
        return Text::default();
    }
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
    let path = &target[..end];
    let rule = config
        .match_rules
        .iter()
        .filter(|rule| path.starts_with(rule.url_prefix.as_bytes()))
        .max_by_key(|rule| rule.url_prefix.len());
    let Some(rule) = rule else { return Text::default() };
    let lead = usize::from(path.first() == Some(&b'/'));
    let mut segments = rule.keep_segments;
    let is_end = |byte: &u8| {
        segments -= usize::from(*byte == b'/').min(segments);
        *byte == b'/' && segments == 0
    };
    let end = path[lead..].iter().position(is_end).map_or(path.len(), |at| at + lead);
    bytes::text(&path[..end], limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EndpointRule;

    fn check(path: &str, endpoint: &str) {
        let rule = |prefix: &str, keep_segments| EndpointRule {
            url_prefix: prefix.to_owned(),
            keep_segments,
        };
        let config = HttpEndpointConfig {
            extraction_disabled: false,
            match_rules: vec![rule("", 2), rule("/api/v1", 4), rule("/api", 1)],
        };
        assert_eq!(of_path(&config, path.as_bytes(), 100), endpoint, "{path}");
    }

    #[test]
    fn first_segments() {
        check("/", "/");
        check("/a", "/a");
        check("/a/b", "/a/b");
        check("/a/b/c?d=/e", "/a/b");
        check("/a?b/c/d", "/a");
        check("/api/x/y", "/api");
        check("/api/v1/u/7/z", "/api/v1/u/7");
        check("*", "*");
        check("", "");
    }
}
