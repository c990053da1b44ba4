//! Policies that cases with the option `policies` run with: fields out of messages on 8080, and
//! with a feature on 9000.

use l7::{Charset, FieldPlace, FieldPolicy, FieldRule, NativeTag, Subfield};
use schema::L7Protocol;

fn rule(place: FieldPlace, keyword: &str) -> FieldRule {
    let keyword = keyword.to_owned();
    FieldRule { keyword, place, in_requests: true, in_responses: true, ..FieldRule::default() }
}

fn attribute(place: FieldPlace, keyword: &str, attribute: &str) -> FieldRule {
    FieldRule { attribute: attribute.to_owned(), ..rule(place, keyword) }
}

fn fields() -> Vec<FieldRule> {
    let (header, json) = (FieldPlace::Header, FieldPlace::Json);
    let part = |keyword: &str| Subfield {
        keyword: keyword.to_owned(),
        pair_separator: ";".to_owned(),
        value_separator: "=".to_owned(),
    };
    let cookie = |keyword: &str| FieldRule {
        subfield: Some(part(keyword)),
        in_responses: false,
        ..attribute(header, "Cookie", keyword)
    };
    let column = |rule: FieldRule, tag| FieldRule { column: Some(tag), ..rule };
    let digits = Charset { digits: true, ..Charset::default() };
    let good = vec!["OK".to_owned(), "E8".to_owned()];
    vec![
        attribute(FieldPlace::Url, "uid", "user"),
        column(attribute(header, "x-tenant", "tenant"), NativeTag::RequestDomain),
        cookie("plan"),
        cookie("sid"),
        attribute(header, "authorization", "auth"),
        FieldRule { charset: Some(digits), ..attribute(header, "x-order", "order") },
        FieldRule {
            success_values: Some(good),
            in_requests: false,
            ..column(rule(json, "code"), NativeTag::ResponseResult)
        },
        FieldRule { in_requests: false, ..attribute(header, "x-code", "code") },
        FieldRule { in_requests: false, ..column(rule(json, "msg"), NativeTag::ResponseException) },
        FieldRule { metric: "took".to_owned(), ..rule(json, "\"took\":") },
        attribute(json, "user", "user"),
        column(rule(FieldPlace::Xml, "op"), NativeTag::RequestType),
        attribute(FieldPlace::Xml, "user", "xml_user"),
        column(rule(header, "x-trace"), NativeTag::TraceId),
    ]
}

/// The policies.
pub fn all() -> Vec<FieldPolicy> {
    let of = |protocol, port, feature: &str, fields| FieldPolicy {
        protocol,
        ports: vec![port..=port],
        feature: feature.to_owned(),
        fields,
    };
    vec![
        of(L7Protocol::Http, 8080, "", fields()),
        of(L7Protocol::Http2, 8080, "", fields()),
        of(L7Protocol::Http, 9000, "v=2", vec![attribute(FieldPlace::Header, "x-user", "user")]),
    ]
}
