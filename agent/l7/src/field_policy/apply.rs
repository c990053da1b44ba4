//! Writes what was found where the configuration wants it.
//!
//! In: values with their rules. Out: attributes, metrics, columns of a request and its response,
//! the status. Of several values for one place the first counts. Never: a number made of what is
//! none.

use schema::{ResponseStatus, Text};

use crate::bytes;
use crate::config::{Config, FieldRule, NativeTag};
use crate::field_policy::{Finder, Found};
use crate::record::Record;
use crate::segment::Direction;
use crate::session::Response;

impl Finder {
    /// Writes what was found so far into a request, of those policies whose feature was seen.
    pub fn apply_request(&mut self, config: &Config, record: &mut Record) {
        for found in self.take_ready() {
            let Some(rule) = rule(config, &found) else { continue };
            entries(rule, &found.value, &mut record.attributes, &mut record.metrics);
            if let Some(tag) = rule.column.filter(|tag| !self.columns.contains(tag))
                && set_request(record, tag, &found.value, self.is_request())
            {
                self.columns.push(tag);
            }
        }
    }

    /// Writes what was found into a response, and into the request that it answers.
    pub fn apply_response(
        mut self,
        config: &Config,
        mut asked: Option<&mut Record>,
        response: &mut Response,
    ) {
        for found in self.take_ready() {
            let Some(rule) = rule(config, &found) else { continue };
            entries(rule, &found.value, &mut response.attributes, &mut response.metrics);
            if let Some(tag) = rule.column.filter(|tag| !self.columns.contains(tag)) {
                let is_set = set_response(response, tag, &found.value)
                    || asked
                        .as_mut()
                        .is_some_and(|record| set_request(record, tag, &found.value, false));
                if is_set {
                    self.columns.push(tag);
                }
            }
            if let Some(good) = rule.success_values.as_ref().filter(|_| !self.has_status) {
                self.has_status = true;
                response.status = match good.iter().any(|good| **good == *found.value) {
                    true => ResponseStatus::Ok,
                    false => ResponseStatus::ServerError,
                };
            }
        }
    }

    /// Values of policies whose feature was seen; the others stay, for it may come.
    fn take_ready(&mut self) -> Vec<Found> {
        let policies = &self.policies;
        let is_ready = |found: &Found| {
            policies.iter().any(|(place, has_feature)| *has_feature && *place == found.policy)
        };
        let (mut ready, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.found).into_iter().partition(is_ready);
        self.found = kept;
        ready.sort_by_key(|found| (found.policy, found.rule));
        ready
    }

    fn is_request(&self) -> bool {
        self.direction == Direction::ClientToServer
    }
}

fn rule<'a>(config: &'a Config, found: &Found) -> Option<&'a FieldRule> {
    config.field_policies.get(found.policy)?.fields.get(found.rule)
}

fn entries(
    rule: &FieldRule,
    value: &Text,
    attributes: &mut Vec<(Text, Text)>,
    metrics: &mut Vec<(Text, f64)>,
) {
    let has = |name: &str| attributes.iter().any(|(known, _)| *known == name);
    if !rule.attribute.is_empty() && !has(&rule.attribute) {
        attributes.push((Text::from(rule.attribute.as_str()), value.clone()));
    }
    let number = value.parse().ok().filter(|number: &f64| number.is_finite());
    if let Some(number) = number.filter(|_| !rule.metric.is_empty()) {
        metrics.push((Text::from(rule.metric.as_str()), number));
    }
}

/// Sets a column of a request. `false`: it is none, or the value does not fit.
fn set_request(record: &mut Record, tag: NativeTag, value: &Text, is_request: bool) -> bool {
    let place = match tag {
        NativeTag::Version => &mut record.version,
        NativeTag::RequestType => &mut record.request_type,
        NativeTag::RequestDomain => &mut record.request_domain,
        NativeTag::RequestResource => &mut record.request_resource,
        NativeTag::Endpoint => &mut record.endpoint,
        NativeTag::TraceId => &mut record.trace_id,
        NativeTag::SpanId => &mut record.span_id,
        NativeTag::XRequestId if is_request => &mut record.x_request_id_0,
        NativeTag::HttpProxyClient => &mut record.http_proxy_client,
        NativeTag::RequestId => {
            let id = bytes::decimal(value.as_bytes());
            record.request_id = id.or(record.request_id);
            return id.is_some();
        }
        NativeTag::XRequestId
        | NativeTag::ResponseCode
        | NativeTag::ResponseException
        | NativeTag::ResponseResult => return false,
    };
    *place = value.clone();
    true
}

/// Sets a column of a response. `false`: it is none, or the value does not fit.
fn set_response(response: &mut Response, tag: NativeTag, value: &Text) -> bool {
    match tag {
        NativeTag::ResponseCode => match value.parse() {
            Ok(code) => response.code = Some(code),
            Err(_) => return false,
        },
        NativeTag::ResponseException => response.exception = value.clone(),
        NativeTag::ResponseResult => response.result = value.clone(),
        NativeTag::XRequestId => response.x_request_id = value.clone(),
        _ => return false,
    }
    true
}
