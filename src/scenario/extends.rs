//! `extends = "base.toml"`: a scenario over the scenarios that it extends, merged before anything is checked.

use super::FILE_BYTES_MAX;
use super::codes::Code;
use super::files::Files;
use super::problem::Draft;
use super::tree::{self, Kind, Raw, Table, Value};

/// Files that extend one another, the scenario itself not counted.
pub(super) const DEPTH_MAX: usize = 8;
/// The key that names the base.
pub(super) const KEY: &str = "extends";

/// Reads the scenario `text` and, from `files`, all that it extends. What a file says stands over what its base says:
/// tables key by key, everything else as a whole.
pub(super) fn document(text: &str, files: &mut Files) -> Raw {
    let mut merged = tree::document(text, 0);
    let mut next = merged.root.get(KEY).map(|entry| entry.value.clone());
    let mut depth = 0;
    while let Some(value) = next.take() {
        depth += 1;
        match base(&value, depth, files) {
            Ok(mut base) => {
                next = base.root.remove(KEY).map(|entry| entry.value);
                merged.drafts.append(&mut base.drafts);
                merged.broken.append(&mut base.broken);
                merged.damaged |= base.damaged;
                merge(&mut merged.root, base.root);
            }
            // What the missing base would have said is not known, so that the absence of a key means nothing.
            Err(draft) => {
                merged.drafts.push(draft);
                merged.damaged = true;
            }
        }
    }
    merged
}

/// The file that `value` names, which is base number `depth` of the scenario.
fn base(value: &Value, depth: usize, files: &mut Files) -> Result<Raw, Draft> {
    let Kind::Text(name) = &value.kind else {
        let title = format!("expected the name of a file such as \"base.toml\", found {}", value.found());
        return Err(Draft::new(value.at, title, "write \"base.toml\"").code(Code::WrongType));
    };
    if depth > DEPTH_MAX {
        let title = format!("more than {DEPTH_MAX} files extend one another");
        return Err(Draft::new(value.at, title, "name a file that extends fewer, or none").code(Code::Extends));
    }
    let (source, text) = files.base(value, name, FILE_BYTES_MAX as u64)?;
    Ok(tree::document(&text, source))
}

/// Adds to `table` what `base` has and it has not.
fn merge(table: &mut Table, base: Table) {
    for (key, entry) in base {
        match table.get_mut(&key).map(|mine| &mut mine.value.kind) {
            None => {
                table.insert(key, entry);
            }
            Some(Kind::Table(inner)) => {
                if let Kind::Table(of_base) = entry.value.kind {
                    merge(inner, of_base);
                }
            }
            Some(_) => {}
        }
    }
}

/// Refuses `--set extends=...`: files are merged before overrides are taken in.
pub(super) fn refuse_override(root: &Table, drafts: &mut Vec<Draft>) {
    if let Some(entry) = root.get(KEY).filter(|entry| entry.value.at.source != 0) {
        let draft =
            Draft::new(entry.key_at, "`extends` cannot be set from outside of the file", "write it in the file")
                .code(Code::Extends);
        drafts.push(draft);
    }
}

#[cfg(test)]
mod tests;
