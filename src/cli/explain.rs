//! `qnetsim explain`, `schema`, `completions` and `man`: what the program says about itself.

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::text::wrapped;
use super::{Cli, Failure, print, write_out};
use crate::scenario::codes;
use crate::scenario::keys::{Key, keys, nearest_key};
use crate::scenario::schema::schema_text;

pub(super) const EXPLAIN_EXAMPLES: &str = "Examples:
  qnetsim explain Q0121
  qnetsim explain network.loss
  qnetsim explain fanout";

/// Arguments of `qnetsim explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// A code such as Q0121, a key such as network.loss, or the last part of a key; all codes and keys if not given.
    #[arg(value_name = "CODE|KEY")]
    what: Option<String>,
}

/// Arguments of `qnetsim completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Tells what a code or a key means, or lists all.
pub(super) fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let Some(what) = &args.what else { return print(&list()) };
    if let Some(found) = codes::all().find(|explanation| explanation.code.eq_ignore_ascii_case(what)) {
        return print(&format!("{}: {}\n\n{}", found.code, found.title, wrapped(found.text, "")));
    }
    let keys = keys();
    let paths: Vec<&Key> = match keys.get(what).filter(|key| !key.path.is_empty()) {
        Some(key) => vec![key],
        None => {
            let ending = format!(".{what}");
            keys.values().filter(|key| !what.is_empty() && key.path.ends_with(&ending)).collect()
        }
    };
    if paths.is_empty() {
        let shown: String = what.chars().filter(|c| !c.is_control()).take(60).collect();
        let advice = match nearest_key(&keys, what) {
            Some(near) => format!("did you mean {near}?"),
            None => "qnetsim explain lists all codes and keys".to_owned(),
        };
        let message = format!("error: `{shown}` is no code and no key of a scenario\n  {advice}");
        return Err(Failure { code: Failure::BAD_SCENARIO, message });
    }
    print(&paths.into_iter().map(about).collect::<Vec<_>>().join("\n"))
}

/// Everything that is known of `key`.
fn about(key: &Key) -> String {
    let mut text = format!("{}\n{}", key.path, wrapped(key.meaning, "  "));
    for kind in key.kinds() {
        text += &wrapped(&format!("Value: {kind}"), "  ");
    }
    text += &wrapped(&format!("Default: {}", key.default()), "  ");
    text + &applies(key).map_or_else(String::new, |applies| wrapped(&applies, "  "))
}

/// Where `key` has a meaning, if that is not everywhere.
fn applies(key: &Key) -> Option<String> {
    let mut parts = key.path.split('.');
    match (parts.next(), parts.next()) {
        (Some("approach"), Some(name)) => Some(format!("Applies to: the approach {name}")),
        (Some("faults"), Some(kind)) => Some(format!("Applies to: each fault of the kind {kind}")),
        (Some("tiers"), _) => Some("Applies to: approaches with tiers; others have full nodes only".to_owned()),
        _ => None,
    }
}

/// All codes and all keys, a line or two each.
fn list() -> String {
    let mut text = "Codes of errors\n\n".to_owned();
    for explanation in codes::all() {
        text += &format!("  {}  {}\n", explanation.code, explanation.title);
    }
    text += "\nKeys of a scenario\n\n";
    for key in keys().values().filter(|key| !key.path.is_empty()) {
        text += &format!("  {}\n{}", key.path, wrapped(key.meaning, "      "));
    }
    text + "\nqnetsim explain CODE or KEY tells more.\n"
}

/// Prints the JSON Schema of scenarios.
pub(super) fn schema() -> Result<(), Failure> {
    print(&schema_text())
}

/// Prints the completions for a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "qnetsim", &mut script);
    write_out(&script).map(drop)
}

/// Prints the manual page, all commands in it.
pub(super) fn man() -> Result<(), Failure> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    let failed = |error: std::io::Error| Failure::of(Failure::INTERNAL, &error);
    clap_mangen::Man::new(command.clone()).render(&mut page).map_err(failed)?;
    sections(&command, "qnetsim", &mut page).map_err(failed)?;
    write_out(&page).map(drop)
}

/// Appends the synopsis, the description and the options of every command under `command` to `page`.
fn sections(command: &Command, name: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        let name = format!("{name} {}", inner.get_name());
        page.extend_from_slice(format!(".SH \"{}\"\n", name.to_uppercase()).as_bytes());
        let man = clap_mangen::Man::new(inner.clone());
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        if inner.get_arguments().next().is_some() {
            man.render_options_section(page)?;
        }
        sections(inner, &name, page)?;
    }
    Ok(())
}
