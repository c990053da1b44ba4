//! Fields that the configuration takes out of messages of HTTP
//! (`tag_extraction.custom_field_policies`): from the target, the header or the start of the body,
//! into attributes, metrics or columns.
//!
//! In: policies; a message as it is read. Out: values, each for the first rule that wants it.
//! Never: more of a body held than `BODY_BYTES`, or a credential shown unless the configuration
//! says so.

mod apply;
mod text;

use schema::{L7Protocol, Text};

use crate::bytes;
use crate::config::{Config, FieldPlace, FieldPolicy, FieldRule, NativeTag};
use crate::credentials;
use crate::segment::Direction;

/// Start of a body in which fields are looked for. unit byte
pub(crate) const BODY_BYTES: usize = 16 << 10;

/// Longest value. unit byte
const VALUE_BYTES: usize = 512;

/// Looks for fields in one message.
#[derive(Debug)]
pub(crate) struct Finder {
    direction: Direction,
    /// Policies that this message falls under, by their places in the configuration, and whether
    /// their `feature_string` was seen.
    policies: Vec<(usize, bool)>,
    found: Vec<Found>,
    /// Columns that have their value, and whether the status has.
    columns: Vec<NativeTag>,
    has_status: bool,
}

/// A value, with the places of its policy and its rule.
#[derive(Debug)]
struct Found {
    policy: usize,
    rule: usize,
    value: Text,
}

impl Finder {
    /// Of a message in this direction; `None`: no policy is meant for it.
    pub fn new(
        config: &Config,
        protocol: L7Protocol,
        server_port: u16,
        direction: Direction,
    ) -> Option<Box<Self>> {
        let is_meant = |policy: &FieldPolicy| {
            policy.protocol == protocol
                && policy.ports.iter().any(|ports| ports.contains(&server_port))
                && policy.fields.iter().any(|rule| is_looked_for(rule, direction))
        };
        let policies: Vec<(usize, bool)> = config
            .field_policies
            .iter()
            .enumerate()
            .filter(|(_, policy)| is_meant(policy))
            .map(|(place, policy)| (place, policy.feature.is_empty()))
            .collect();
        match policies.is_empty() {
            true => None,
            false => Some(Box::new(Self {
                direction,
                policies,
                found: Vec::new(),
                columns: Vec::new(),
                has_status: false,
            })),
        }
    }

    /// Takes the target of a request.
    pub fn target(&mut self, config: &Config, target: &[u8]) {
        self.features(config, target);
        let query = match bytes::find(target, b'?') {
            Some(at) => &target[at + 1..],
            None => return,
        };
        let query = query.split(|byte| *byte == b'#').next().unwrap_or_default();
        for parameter in query.split(|byte| *byte == b'&') {
            if let Some(equals) = bytes::find(parameter, b'=') {
                let (name, value) = (&parameter[..equals], &parameter[equals + 1..]);
                self.offer(config, FieldPlace::Url, |rule| rule.names(name).then_some(value));
            }
        }
    }

    /// Takes a header field. Names are compared as RFC 9110 §5.1 says: case makes no difference.
    pub fn header(&mut self, config: &Config, name: &[u8], value: &[u8]) {
        if self.policies.iter().any(|(_, has_feature)| !has_feature) {
            self.features(config, &[name, b": ", value].concat());
        }
        self.offer(config, FieldPlace::Header, |rule| {
            name.eq_ignore_ascii_case(rule.keyword.as_bytes()).then_some(value)
        });
    }

    /// Whether anything is looked for in the body.
    pub fn wants_body(&self, config: &Config) -> bool {
        let is_in_body =
            |rule: &FieldRule| matches!(rule.place, FieldPlace::Json | FieldPlace::Xml);
        self.policies.iter().any(|(place, has_feature)| {
            let rules = config.field_policies.get(*place).map_or(&[][..], |policy| &policy.fields);
            let mut wanted = rules.iter().filter(|rule| is_looked_for(rule, self.direction));
            !has_feature || wanted.any(is_in_body)
        })
    }

    /// Takes the start of the body.
    pub fn body(&mut self, config: &Config, start: &[u8]) {
        if start.is_empty() {
            return;
        }
        self.features(config, start);
        for place in [FieldPlace::Json, FieldPlace::Xml] {
            self.offer(config, place, |rule| match place {
                FieldPlace::Json => text::json_value(start, rule),
                _ => text::xml_value(start, rule),
            });
        }
    }

    /// Adds what was found in the trailers.
    pub fn merge(&mut self, trailers: Self) {
        self.found.extend(trailers.found);
        for (mine, other) in self.policies.iter_mut().zip(trailers.policies) {
            mine.1 |= other.1;
        }
    }

    /// Offers a value to each rule for this place that has none yet.
    fn offer<V: AsRef<[u8]>>(
        &mut self,
        config: &Config,
        place: FieldPlace,
        mut read: impl FnMut(&FieldRule) -> Option<V>,
    ) {
        for (number, _) in &self.policies {
            let Some(policy) = config.field_policies.get(*number) else { continue };
            let rules = policy.fields.iter().enumerate();
            let wanted = rules
                .filter(|(_, rule)| rule.place == place && is_looked_for(rule, self.direction));
            for (rule_number, rule) in wanted {
                let is_it = |found: &Found| found.policy == *number && found.rule == rule_number;
                if self.found.iter().any(is_it) {
                    continue;
                }
                if let Some(value) =
                    read(rule).and_then(|value| shown(config, rule, value.as_ref()))
                {
                    self.found.push(Found { policy: *number, rule: rule_number, value });
                }
            }
        }
    }

    /// Notes the policies whose feature stands in `bytes`.
    fn features(&mut self, config: &Config, bytes: &[u8]) {
        for (number, has_feature) in self.policies.iter_mut().filter(|policy| !policy.1) {
            if let Some(policy) = config.field_policies.get(*number) {
                *has_feature = memchr::memmem::find(bytes, policy.feature.as_bytes()).is_some();
            }
        }
    }
}

fn is_looked_for(rule: &FieldRule, direction: Direction) -> bool {
    match direction {
        Direction::ClientToServer => rule.in_requests,
        Direction::ServerToClient => rule.in_responses,
    }
}

/// What a rule makes of the value that it found: a part of it, if it is made of what it may be.
fn shown(config: &Config, rule: &FieldRule, value: &[u8]) -> Option<Text> {
    let (name, part) = match &rule.subfield {
        Some(subfield) => (subfield.keyword.as_str(), text::subfield(value, subfield)?),
        None => (rule.keyword.as_str(), value),
    };
    let text = bytes::text(part, VALUE_BYTES);
    let is_allowed = rule.charset.as_ref().is_none_or(|charset| charset.allows(&text));
    if text.is_empty() || !is_allowed {
        return None;
    }
    match config.redact_credentials && credentials::is_secret_name(name.as_bytes()) {
        true => Some(Text::const_new("?")),
        false => Some(text),
    }
}
