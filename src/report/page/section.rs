//! What a page says of one result folder.

use super::super::ORIGIN;
use super::super::folder::{ReadError, ResultFolder, is_text};
use super::super::number::{percent, size};
use super::super::plot::{Choice, Kind, PlotError, Theme, pictures};
use super::super::summary::{SUMMARY_FORMAT, Summary};
use super::tables::{Table, claims, tables, thresholds};

/// The most warnings that say the same of different rows.
const WARNINGS_MAX: usize = 20;

/// Bytes of an effective configuration, which no scenario needs.
const CONFIGURATION_BYTES_MAX: usize = 4_000_000;

/// One result.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) command: Option<String>,
    pub(super) warnings: Vec<String>,
    /// Tables of verdicts.
    pub(super) verdicts: Vec<Table>,
    /// SVG of this program.
    pub(super) charts: Vec<String>,
    pub(super) tables: Vec<Table>,
    pub(super) text: Option<String>,
    pub(super) configuration: Option<String>,
}

impl Section {
    /// What the files of `folder` say.
    pub(super) fn of(folder: &ResultFolder<'_>) -> Result<Section, ReadError> {
        let mut section = Section { name: folder.name().to_owned(), ..Section::default() };
        section.configuration = folder.text("scenario.toml")?;
        if section.configuration.as_ref().is_some_and(|text| text.len() > CONFIGURATION_BYTES_MAX) {
            return Err(folder.refuse("scenario.toml", 1, format!("more than {CONFIGURATION_BYTES_MAX} bytes")));
        }
        section.text = folder.text("tables.txt")?;
        let summary = summary(folder)?;
        let is_of_claims = section.claimed(folder)?;
        if !is_of_claims {
            section.provenance(folder, summary.as_ref())?;
            section.warn_of_missing(summary.as_ref());
        }
        section.facts.iter_mut().for_each(|(_, value)| *value = shown(value));
        section.description = shown(&section.description);
        section.command = section.command.as_deref().map(shown);
        section.warn(folder, summary.as_ref())?;
        section.verdicts.extend(thresholds(folder)?);
        section.verdicts.extend(claims(folder)?);
        for kind in Kind::ALL {
            match pictures(folder, kind, &Choice::default()) {
                Ok(drawn) => {
                    let svg = drawn.iter().map(|picture| picture.svg(Theme::Light));
                    section.charts.extend(svg.map(|svg| String::from_utf8_lossy(&svg).into_owned()));
                }
                Err(PlotError::Read(error)) => return Err(error),
                Err(PlotError::Choice(why)) => section.warnings.push(format!("No chart {}: {why}.", kind.name())),
            }
        }
        section.tables = tables(folder)?;
        Ok(section)
    }

    /// Where the result comes from: by the summary, else by the head of the configuration, else by what was printed.
    fn provenance(&mut self, folder: &ResultFolder<'_>, summary: Option<&Summary>) -> Result<(), ReadError> {
        let mut fact = |name, value: String| self.facts.push((name, value));
        if let Some(Summary { deterministic, .. }) = summary {
            fact("scenario", deterministic.scenario.clone());
            fact("version", format!("qnetsim {}", deterministic.qnetsim));
            fact("seed", deterministic.seed.to_string());
            fact("hash", deterministic.scenario_hash.clone());
            self.description = deterministic.description.clone();
            self.command = Some(deterministic.command.clone());
            return Ok(());
        }
        if let Some(text) = &self.configuration {
            let scenario: toml::Table = toml::from_str(text).map_err(|error| {
                let before = error.span().map_or(0, |span| span.start);
                let line = 1 + text.as_bytes()[..before].iter().filter(|&&byte| byte == b'\n').count();
                folder.refuse("scenario.toml", line as u64, error.message().to_owned())
            })?;
            let line = |start: &str| text.lines().take(20).find_map(|line| line.strip_prefix(start)).map(str::to_owned);
            let text_of = |key: &str| scenario.get(key).and_then(toml::Value::as_str).map(str::to_owned);
            let seed =
                scenario.get("seed").map_or_else(|| "1, which is the default".to_owned(), toml::Value::to_string);
            let [command, version, hash] = ORIGIN;
            let known =
                [("scenario", text_of("name")), ("version", line(version)), ("seed", Some(seed)), ("hash", line(hash))];
            known.into_iter().for_each(|(name, found)| self.facts.extend(found.map(|found| (name, found))));
            self.description = text_of("description").unwrap_or_default();
            self.command = line(command);
        }
        if self.command.is_none() {
            let first = self.text.as_deref().and_then(|text| text.lines().next());
            self.command = first.and_then(|line| line.strip_prefix("$ ")).map(str::to_owned);
        }
        Ok(())
    }

    /// What a reader should know before he believes the numbers.
    fn warn(&mut self, folder: &ResultFolder<'_>, summary: Option<&Summary>) -> Result<(), ReadError> {
        let own = env!("CARGO_PKG_VERSION");
        if let Some(summary) = summary.filter(|summary| summary.deterministic.qnetsim != own) {
            let made_by = shown(&summary.deterministic.qnetsim);
            self.warnings.push(format!("It was made by qnetsim {made_by}, and this page by {own}."));
        }
        if let Some(sheet) = folder.sheet("notes.csv")? {
            sheet.require(&["note"])?;
            self.warnings.extend(sheet.rows().take(WARNINGS_MAX).map(|row| row.text("note").to_owned()));
        }
        self.warn_of_rows(folder)
    }

    /// What older results did not keep.
    fn warn_of_missing(&mut self, summary: Option<&Summary>) {
        let mut warn = |text: String| self.warnings.push(text);
        match (summary, &self.configuration) {
            (Some(_), _) => {}
            (None, Some(_)) => {
                warn("summary.json is not here: version, seed and hash are those of scenario.toml.".to_owned())
            }
            (None, None) => warn("summary.json is not here: version, seed and hash are not known.".to_owned()),
        }
        if self.configuration.is_none() {
            warn("scenario.toml is not here: the effective configuration is not known.".to_owned());
        }
    }

    /// What made the answers of `qnetsim claims`; false if the folder holds none.
    fn claimed(&mut self, folder: &ResultFolder<'_>) -> Result<bool, ReadError> {
        let Some(text) = folder.text("claims.json")? else { return Ok(false) };
        let all: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| folder.refuse("claims.json", error.line() as u64, error.to_string()))?;
        let of = |key: &str| all.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
        for name in ["version", "machine", "seeds", "scale"] {
            self.facts.extend(of(name).map(|value| (name, value)));
        }
        self.command = of("command");
        Ok(true)
    }

    /// What sheets say of messages and failures that got lost.
    fn warn_of_rows(&mut self, folder: &ResultFolder<'_>) -> Result<(), ReadError> {
        let mut found = Vec::new();
        if let Some(sheet) = folder.sheet("bandwidth.csv")? {
            let mut counted: Vec<String> = sheet
                .rows()
                .filter(|row| row.text("method") == "counted")
                .map(|row| row.text("approach").to_owned())
                .collect();
            counted.dedup();
            found.extend(counted.iter().map(|approach| {
                format!(
                    "{approach}: broadcasts were counted as a whole at some size, not simulated one message at a time."
                )
            }));
        }
        if let Some(sheet) = folder.sheet("drops.csv")? {
            for row in sheet.rows().filter(|row| (row.text("kind"), row.text("node_type")) == ("all", "all")) {
                let share = row.number("share_of_sent")?.unwrap_or(0.0);
                let (approach, cause) = (row.text("approach"), row.text("cause"));
                if share > 0.0 {
                    found.push(format!(
                        "{approach} at {} nodes: {} of messages dropped ({cause}).",
                        size(row.nodes()?),
                        percent(share)
                    ));
                }
            }
        }
        if let Some(sheet) = folder.sheet("detection.csv")? {
            let of_all = ["node_type", "failure", "stage", "observers"];
            for row in
                sheet.rows().filter(|row| of_all.map(|column| row.text(column)) == ["all", "all", "down", "first"])
            {
                let (approach, nodes) = (row.text("approach"), size(row.nodes()?));
                if let Some(share) = row.number("share_never_noticed")?.filter(|share| *share > 0.0) {
                    found.push(format!(
                        "{approach} at {nodes} nodes: {} of failures were never noticed.",
                        percent(share)
                    ));
                }
            }
        }
        let more = found.len().saturating_sub(WARNINGS_MAX);
        self.warnings.extend(found.into_iter().take(WARNINGS_MAX));
        self.warnings.extend((more > 0).then(|| format!("And {more} more, in the tables.")));
        Ok(())
    }
}

/// `text` with signs in place of what no text has: escapes of JSON and TOML can write any letter.
fn shown(text: &str) -> String {
    text.chars().map(|letter| if is_text(letter) { letter } else { '\u{fffd}' }).collect()
}

/// `summary.json`, if it is there.
fn summary(folder: &ResultFolder<'_>) -> Result<Option<Summary>, ReadError> {
    let Some(text) = folder.text("summary.json")? else { return Ok(None) };
    let refuse = |line: usize, reason: String| folder.refuse("summary.json", line as u64, reason);
    let summary: Summary = serde_json::from_str(&text).map_err(|error| refuse(error.line(), error.to_string()))?;
    match summary.deterministic.format {
        SUMMARY_FORMAT => Ok(Some(summary)),
        other => Err(refuse(1, format!("its layout is number {other}, and this program reads {SUMMARY_FORMAT}"))),
    }
}
