//! `tag_extraction.custom_field_policies`: DeepFlow's rules for fields of users' own.
//!
//! In: the list of the configuration. Out: policies, or which entry is wrong and what to do. Never:
//! a rule accepted that would do nothing.

use anyhow::{Context, Result, bail, ensure};
use l7::{Charset, FieldPlace, FieldPolicy, FieldRule, NativeTag, Subfield};
use schema::L7Protocol;
use serde_yaml_ng::Value;

use super::Settings;

const PATH: &str = "processors.request_log.tag_extraction.custom_field_policies";

/// The policies, in their order: of several rules for one column the first that finds counts.
pub fn load(s: &Settings) -> Result<Vec<FieldPolicy>> {
    let policies = s.values(PATH)?;
    let place = |number: usize, entry: &Entry<'_>| match entry.text("policy_name", "") {
        Ok(name) if !name.is_empty() => format!("{PATH}[{number}] ({name})"),
        _ => format!("{PATH}[{number}]"),
    };
    policies
        .iter()
        .enumerate()
        .map(|(number, value)| {
            let entry = Entry { value };
            policy(&entry).with_context(|| place(number, &entry))
        })
        .collect()
}

fn policy(entry: &Entry<'_>) -> Result<FieldPolicy> {
    entry.has_only(&[
        "policy_name",
        "protocol_name",
        "custom_protocol_name",
        "filters",
        "fields",
    ])?;
    let name = entry.text("protocol_name", "")?;
    let protocol = match name.to_ascii_lowercase().as_str() {
        "http" => L7Protocol::Http,
        "http2" | "grpc" => L7Protocol::Http2,
        _ => bail!(
            "protocol_name: fields are taken out of HTTP and HTTP2 (also gRPC), not of {name:?}; \
             for other protocols write a plug-in (docs/plugins.md)"
        ),
    };
    let none = Value::Null;
    let filters = Entry { value: entry.value.get("filters").unwrap_or(&none) };
    filters.has_only(&["port_list", "feature_string"]).context("filters")?;
    let ports = filters.text("port_list", "1-65535").and_then(|list| ranges(&list));
    let fields = match entry.value.get("fields") {
        Some(Value::Sequence(fields)) if !fields.is_empty() => fields,
        _ => bail!("fields: expected a list with at least one field"),
    };
    let read = |(number, value): (usize, &Value)| {
        rule(&Entry { value }).with_context(|| format!("fields[{number}]"))
    };
    Ok(FieldPolicy {
        protocol,
        ports: ports.context("filters.port_list")?,
        feature: filters.text("feature_string", "").context("filters")?,
        fields: fields.iter().enumerate().map(read).collect::<Result<_>>()?,
    })
}

fn rule(entry: &Entry<'_>) -> Result<FieldRule> {
    entry.has_only(&RULE_KEYS)?;
    let kind = entry.text("field_match_type", "string")?;
    ensure!(kind == "string", "field_match_type: {kind:?} is not supported; use string");
    let keyword = entry.text("field_match_keyword", "")?;
    ensure!(!keyword.is_empty(), "field_match_keyword: name the field that is looked for");
    let (in_requests, in_responses) = match entry.text("traffic_direction", "both")?.as_str() {
        "request" => (true, false),
        "response" => (false, true),
        "both" => (true, true),
        other => bail!("traffic_direction: {other:?} is none of request, response, both"),
    };
    let place = place(&entry.text("field_type", "header_field")?)?;
    ensure!(
        place != FieldPlace::Url || in_requests,
        "traffic_direction: only requests have an http_url_field; use request or both"
    );
    let rule = FieldRule {
        keyword,
        ignore_case: entry.flag("field_match_ignore_case")?,
        subfield: subfield(entry)?,
        place,
        in_requests,
        in_responses,
        charset: charset(entry)?,
        attribute: entry.text("attribute_name", "")?,
        metric: entry.text("metric_name", "")?,
        column: column(&entry.text("rewrite_native_tag", "")?)?,
        success_values: success_values(entry)?,
    };
    let is_of_response = rule.success_values.is_some()
        || matches!(
            rule.column,
            Some(
                NativeTag::ResponseCode | NativeTag::ResponseException | NativeTag::ResponseResult
            )
        );
    ensure!(
        !is_of_response || rule.in_responses,
        "traffic_direction: what rewrites a column of the response is looked for in responses; use \
         response or both"
    );
    let has_use = !rule.attribute.is_empty()
        || !rule.metric.is_empty()
        || rule.column.is_some()
        || rule.success_values.is_some();
    ensure!(
        has_use,
        "say what the value is for: attribute_name, metric_name, rewrite_native_tag or \
         rewrite_response_status"
    );
    Ok(rule)
}

const RULE_KEYS: [&str; 16] = [
    "field_name",
    "field_match_type",
    "field_match_ignore_case",
    "field_match_keyword",
    "subfield_match_keyword",
    "separator_between_subfield_kv_pair",
    "separator_between_subfield_key_and_value",
    "field_type",
    "traffic_direction",
    "check_value_charset",
    "value_primary_charset",
    "value_special_charset",
    "attribute_name",
    "rewrite_native_tag",
    "rewrite_response_status",
    "metric_name",
];

fn place(name: &str) -> Result<FieldPlace> {
    Ok(match name {
        "http_url_field" => FieldPlace::Url,
        "header_field" => FieldPlace::Header,
        "payload_json_value" => FieldPlace::Json,
        "payload_xml_value" => FieldPlace::Xml,
        "payload_hessian2_value" => bail!(
            "field_type: payload_hessian2_value is not supported; Dubbo's attachments are read for \
             trace ids as they are, for other values write a plug-in (docs/plugins.md)"
        ),
        "sql_insertion_column" => bail!(
            "field_type: sql_insertion_column is not supported; the whole statement is in \
             request_resource"
        ),
        other => bail!(
            "field_type: {other:?} is none of http_url_field, header_field, payload_json_value, \
             payload_xml_value"
        ),
    })
}

fn subfield(entry: &Entry<'_>) -> Result<Option<Subfield>> {
    let keyword = entry.text("subfield_match_keyword", "")?;
    if keyword.is_empty() {
        return Ok(None);
    }
    Ok(Some(Subfield {
        keyword,
        pair_separator: entry.text("separator_between_subfield_kv_pair", "")?,
        value_separator: entry.text("separator_between_subfield_key_and_value", "")?,
    }))
}

fn charset(entry: &Entry<'_>) -> Result<Option<Charset>> {
    if !entry.flag("check_value_charset")? {
        return Ok(None);
    }
    let special = entry.text("value_special_charset", "")?;
    let mut charset = Charset { special, ..Charset::default() };
    for name in entry.list("value_primary_charset")? {
        match name.as_str() {
            "digits" => charset.digits = true,
            "alphabets" => charset.alphabets = true,
            "chinese" => charset.chinese = true,
            other => {
                bail!("value_primary_charset: {other:?} is none of digits, alphabets, chinese");
            }
        }
    }
    ensure!(
        charset != Charset::default(),
        "check_value_charset: name what values may be made of in value_primary_charset or \
         value_special_charset"
    );
    Ok(Some(charset))
}

fn column(name: &str) -> Result<Option<NativeTag>> {
    if name.is_empty() {
        return Ok(None);
    }
    match NativeTag::NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, tag)) => Ok(Some(*tag)),
        None => {
            let known: Vec<&str> = NativeTag::NAMES.iter().map(|(known, _)| *known).collect();
            bail!("rewrite_native_tag: {name:?} is none of {}", known.join(", "));
        }
    }
}

fn success_values(entry: &Entry<'_>) -> Result<Option<Vec<String>>> {
    let none = Value::Null;
    let status = Entry { value: entry.value.get("rewrite_response_status").unwrap_or(&none) };
    status.has_only(&["success_values"]).context("rewrite_response_status")?;
    let values = status.list("success_values").context("rewrite_response_status")?;
    Ok((!values.is_empty()).then_some(values))
}

fn ranges(list: &str) -> Result<Vec<std::ops::RangeInclusive<u16>>> {
    let ports = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.trim().parse().ok().zip(last.trim().parse().ok());
        let range = range.map(|(first, last): (u16, u16)| first..=last);
        range
            .filter(|range| !range.is_empty())
            .with_context(|| format!("{part:?} is not a port or a range of ports"))
    };
    list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(ports).collect()
}

/// A mapping of the configuration, or nothing.
struct Entry<'a> {
    value: &'a Value,
}

impl Entry<'_> {
    fn has_only(&self, known: &[&str]) -> Result<()> {
        let mapping = match self.value {
            Value::Null => return Ok(()),
            Value::Mapping(mapping) => mapping,
            _ => bail!("expected keys with values"),
        };
        for key in mapping.keys() {
            let name = key.as_str().unwrap_or_default();
            ensure!(known.contains(&name), "unknown key {name:?}; known are {}", known.join(", "));
        }
        Ok(())
    }

    fn text(&self, key: &str, default: &str) -> Result<String> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) => bail!("{key}: expected text"),
        }
    }

    /// DeepFlow's examples write some of them in quotes.
    fn flag(&self, key: &str) -> Result<bool> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            Some(_) => bail!("{key}: expected true or false"),
        }
    }

    fn list(&self, key: &str) -> Result<Vec<String>> {
        let items = match self.value.get(key) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Sequence(items)) => items,
            Some(_) => bail!("{key}: expected a list"),
        };
        items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) => Ok(number.to_string()),
                _ => bail!("{key}: expected a list of texts"),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(policies: &str) -> Result<Vec<FieldPolicy>> {
        let yaml = format!(
            "processors: {{request_log: {{tag_extraction: {{custom_field_policies: {policies}}}}}}}"
        );
        load(&Settings::parse(&yaml)?)
    }

    #[test]
    fn a_whole_policy() {
        let policies = read(
            r#"[{policy_name: p, protocol_name: HTTP,
              filters: {port_list: "80, 8000-8010", feature_string: tenant},
              fields: [
                {field_name: a, field_match_keyword: Cookie, subfield_match_keyword: y,
                 separator_between_subfield_kv_pair: ";",
                 separator_between_subfield_key_and_value: "=",
                 field_match_ignore_case: "true", traffic_direction: request,
                 check_value_charset: true, value_primary_charset: [digits],
                 value_special_charset: ".-", attribute_name: y, metric_name: ym},
                {field_match_keyword: code, field_type: payload_json_value,
                 rewrite_native_tag: response_code, traffic_direction: response,
                 rewrite_response_status: {success_values: [0, "ok"]}}]}]"#,
        )
        .expect("good");
        let [policy] = &policies[..] else { panic!("one policy") };
        assert_eq!((policy.protocol, &*policy.feature), (L7Protocol::Http, "tenant"));
        assert_eq!(policy.ports, [80..=80, 8000..=8010]);
        let [cookie, code] = &policy.fields[..] else { panic!("two fields") };
        assert!(cookie.ignore_case && cookie.in_requests && !cookie.in_responses);
        assert_eq!(cookie.subfield.as_ref().map(|part| &*part.pair_separator), Some(";"));
        assert!(cookie.charset.as_ref().is_some_and(|set| set.digits && !set.alphabets));
        assert_eq!((code.place, code.column), (FieldPlace::Json, Some(NativeTag::ResponseCode)));
        assert_eq!(code.success_values, Some(vec!["0".to_owned(), "ok".to_owned()]));
    }

    #[test]
    fn what_is_wrong_names_the_entry_and_what_to_do() {
        let field = "field_match_keyword: a, attribute_name: a";
        for (policy, expected) in [
            ("{protocol_name: Dubbo}".to_owned(), "write a plug-in"),
            ("{protocol_name: HTTP}".to_owned(), "fields: expected a list"),
            (format!("{{protocol_name: HTTP, port: 80, fields: [{{{field}}}]}}"), "known are"),
            (
                format!(
                    "{{protocol_name: HTTP, filters: {{port_list: x}}, fields: [{{{field}}}]}}"
                ),
                "filters.port_list: \"x\" is not a port",
            ),
        ] {
            let text = format!("{:#}", read(&format!("[{policy}]")).expect_err(&policy));
            assert!(text.starts_with(PATH) && text.contains(expected), "{text}");
        }
        for (rule, expected) in [
            ("attribute_name: a", "fields[0]: field_match_keyword"),
            ("field_match_keyword: a", "say what the value is for"),
            ("field_match_keyword: a, field_match_type: regex", "\"regex\" is not supported"),
            ("field_match_keyword: a, field_type: payload_hessian2_value", "write a plug-in"),
            ("field_match_keyword: a, field_type: sql_insertion_column", "request_resource"),
            ("field_match_keyword: a, field_type: cookie", "is none of http_url_field"),
            ("field_match_keyword: a, rewrite_native_tag: ip", "is none of version"),
            ("field_match_keyword: a, traffic_direction: up", "is none of request"),
            (
                "field_match_keyword: a, rewrite_native_tag: response_code, \
                 traffic_direction: request",
                "use response or both",
            ),
            ("field_match_keyword: a, check_value_charset: true", "name what values"),
        ] {
            let policy = format!("[{{protocol_name: HTTP, fields: [{{{rule}}}]}}]");
            let text = format!("{:#}", read(&policy).expect_err(rule));
            assert!(text.contains(expected), "{rule}: {text}");
        }
    }
}
