//! The JSON Schema of scenario files, made from the table of keys, for editors and other programs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::keys::{Key, Shape, keys};

/// A number without exponent, as quantities have it.
const NUMBER: &str = "^\\s*\\+?[0-9](_?[0-9])*(\\.[0-9](_?[0-9])*)?";

/// The schema, in the draft that editors know best (draft 7).
///
/// It knows every key, kind and bound of numbers, and the units of quantities. What depends on several values (bounds of
/// durations and sizes, parameters of models, tiers that add up) is left to `qnetsim` itself. The keys that no scenario
/// can do without may come from a base.
pub fn schema() -> Value {
    let keys = keys();
    let mut schema = table("", &keys);
    let required: Vec<&str> =
        keys.values().filter(|key| key.is_required() && !key.path.contains('.')).map(|key| key.path.as_str()).collect();
    let head = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "qnetsim scenario",
        "anyOf": [{ "required": ["extends"] }, { "required": required }],
        "definitions": {
            "duration": { "type": "string", "pattern": format!("{NUMBER}\\s*(ns|us|\u{b5}s|\u{3bc}s|ms|s|min|h|d)\\s*$") },
            "size": { "type": "string", "pattern": format!("{NUMBER}\\s*(B|kB|MB|GB|KiB|MiB|GiB)\\s*$") },
            "bitrate": { "type": "string", "pattern": format!("{NUMBER}\\s*(bps|Kbps|kbps|Mbps|Gbps)\\s*$") },
            "count": { "type": "string", "pattern": format!("{NUMBER}\\s*(K|M|G)?\\s*$") },
        },
    });
    if let (Value::Object(schema), Value::Object(head)) = (&mut schema, head) {
        schema.extend(head);
    }
    schema
}

/// The schema as text, as the command prints it.
pub fn schema_text() -> String {
    // A tree of texts and numbers can always be written.
    format!("{:#}\n", schema())
}

/// The table at `path`, with all its keys.
fn table(path: &str, keys: &BTreeMap<String, Key>) -> Value {
    let mut properties = Map::new();
    for name in keys.get(path).map(Key::inner).unwrap_or_default() {
        let inner = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if let Some(key) = keys.get(&inner) {
            properties.insert(name.to_owned(), value(key, keys));
        }
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn value(key: &Key, keys: &BTreeMap<String, Key>) -> Value {
    let mut kinds: Vec<Value> = Vec::new();
    let mut add = |kind: Value| {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    };
    for (shape, _) in &key.shapes {
        let one = of_shape(shape, key, keys);
        if let (Some(max), false) = (key.list_max, matches!(shape, Shape::Entries)) {
            add(json!({ "type": "array", "items": one.clone(), "minItems": 1, "maxItems": max }));
        }
        add(one);
    }
    let mut schema = match kinds.len() {
        1 => kinds.remove(0),
        _ => json!({ "anyOf": kinds }),
    };
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), Value::String(format!("{} Default: {}.", key.meaning, key.default())));
    }
    schema
}

fn of_shape(shape: &Shape, key: &Key, keys: &BTreeMap<String, Key>) -> Value {
    let defined = |name: &str| json!({ "allOf": [{ "$ref": format!("#/definitions/{name}") }] });
    match shape {
        Shape::Span { .. } => defined("duration"),
        Shape::Size { .. } => defined("size"),
        Shape::Bitrate { .. } => defined("bitrate"),
        Shape::Count { min, max } => {
            json!({ "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, { "$ref": "#/definitions/count" }] })
        }
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Number { low, high, .. } => {
            let mut schema = Map::from_iter([("type".to_owned(), json!("number"))]);
            let bounds = [(low, "minimum", "exclusiveMinimum"), (high, "maximum", "exclusiveMaximum")];
            for (bound, taken, not_taken) in bounds {
                if let Some((bound, is_taken)) = bound {
                    schema.insert((if *is_taken { taken } else { not_taken }).to_owned(), json!(bound));
                }
            }
            Value::Object(schema)
        }
        Shape::Text { .. } => json!({ "type": "string" }),
        Shape::Choice(words) => json!({ "type": "string", "enum": words }),
        Shape::Table(_) => table(&key.path, keys),
        Shape::Entries => json!({ "type": "object" }),
        Shape::Tables { max } => {
            json!({ "type": "array", "items": { "type": "object" }, "minItems": 1, "maxItems": max })
        }
    }
}
