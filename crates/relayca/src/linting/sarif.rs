//! The findings as SARIF 2.1.0 (OASIS), which code scanners and editors read.
//!
//! In: findings. Out: one document. It refuses to know more of SARIF than a linter of files needs.

use relayca_postfix::rules::all;
use serde_json::{Value, json};

use super::Linted;
use super::report::word;

/// Where the format is laid down.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The document.
pub fn document(linted: &Linted) -> Value {
    let rules = all();
    let described: Vec<Value> = rules
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.title },
                "fullDescription": { "text": rule.why },
                "help": { "text": format!("{} (see {})", rule.remedy, rule.sources.join("; ")) },
                "defaultConfiguration": { "level": word(rule.severity) },
            })
        })
        .collect();
    let results: Vec<Value> = linted
        .findings
        .iter()
        .map(|finding| {
            let path = linted.source.shown(&finding.place.file);
            let mut location = json!({ "artifactLocation": { "uri": uri(&path) } });
            if let (Some(line), Some(location)) = (finding.place.line, location.as_object_mut()) {
                location.insert("region".into(), json!({ "startLine": line.max(1) }));
            }
            let message = match &finding.service {
                Some(service) => format!("{service}: {}", finding.message),
                None => finding.message.clone(),
            };
            json!({
                "ruleId": finding.rule,
                "ruleIndex": rules.iter().position(|rule| rule.id == finding.rule),
                "level": word(finding.severity),
                "message": { "text": message },
                "locations": [{ "physicalLocation": location }],
                "properties": { "fix": finding.fix },
            })
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "relayca",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": described,
            } },
            "results": results,
        }],
    })
}

/// A path as a URI reference (RFC 3986): absolute ones as `file://`, others relative.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_odd_letters_is_still_a_uri() {
        assert_eq!(uri("/etc/post fix/ä"), "file:///etc/post%20fix/%C3%A4");
        assert_eq!(uri("main.cf"), "main.cf");
    }
}
