//! Constraints of a sweep: `"network.loss < 0.1 || nodes <= 10K"`.
//!
//! A constraint is comparisons joined by `&&` and `||`, of which `&&` binds closer, with parentheses. A comparison is two
//! operands with one of `== != < <= > >=` between them. An operand is a key that is swept or written in the scenario, the
//! word `variant`, a number, a quantity such as `10K` or `30s`, `true`, `false`, or a text in single quotes.

use std::cmp::Ordering;
use std::ops::Range;

use super::super::codes::Code;
use super::super::problem::{Draft, Place};
use super::super::quantity::short;
use super::super::tree::Table;
use super::amount::Amount;
use super::axis::VARIANT;
use super::value_at;

/// Bytes of a constraint.
const BYTES_MAX: usize = 1_000;
/// Parentheses within one another.
const DEPTH_MAX: usize = 16;
/// Signs, of which the longer ones come first.
const SIGNS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];

/// A constraint, and where its text stands.
#[derive(Clone, Debug)]
pub(super) struct Constraint {
    condition: Condition,
    text: Text,
}

/// Where the text of a constraint stands.
#[derive(Clone, Copy, Debug)]
struct Text {
    at: Place,
    /// Whether every byte of the text is one of the file, between two quotes.
    is_plain: bool,
}

impl Text {
    fn place(self, part: &Range<usize>) -> Place {
        match self.is_plain {
            true => Place {
                source: self.at.source,
                start: self.at.start + 1 + part.start,
                end: self.at.start + 1 + part.end,
            },
            false => self.at,
        }
    }

    fn fault(self, part: &Range<usize>, title: impl Into<String>, label: impl Into<String>) -> Draft {
        Draft::new(self.place(part), title, label).code(Code::Sweep)
    }
}

#[derive(Clone, Debug)]
enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Compare { left: Operand, sign: &'static str, right: Operand },
}

#[derive(Clone, Debug)]
struct Operand {
    at: Range<usize>,
    kind: OperandKind,
}

#[derive(Clone, Debug)]
enum OperandKind {
    Key(String),
    Amount(Amount),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Or,
    And,
    Open,
    Close,
    Sign(&'static str),
    Word(String),
    Quoted(String),
}

impl Constraint {
    /// Reads `text`, which stands at `at` with its quotes.
    pub(super) fn parse(text: &str, at: Place) -> Result<Constraint, Draft> {
        let place = Text { at, is_plain: at.end.saturating_sub(at.start) == text.len() + 2 };
        if text.len() > BYTES_MAX {
            let label = format!("write at most {BYTES_MAX} bytes, or several constraints: all of them must hold");
            return Err(place.fault(&(0..text.len()), "the constraint is too long", label));
        }
        let mut parser = Parser { tokens: tokens(text, place)?, next: 0, depth: 0, end: text.len(), text: place };
        let condition = parser.any()?;
        match parser.peek() {
            None => Ok(Constraint { condition, text: place }),
            Some((_, at)) => {
                Err(place.fault(&at.clone(), "the constraint should end here", "write && or || between comparisons"))
            }
        }
    }

    /// Whether the scenario `root`, of the `variant` if there are variants, keeps it.
    pub(super) fn holds(&self, root: &Table, variant: Option<&str>) -> Result<bool, Draft> {
        self.check(&self.condition, root, variant)
    }

    fn check(&self, condition: &Condition, root: &Table, variant: Option<&str>) -> Result<bool, Draft> {
        let (of, wanted) = match condition {
            Condition::Any(of) => (of, true),
            Condition::All(of) => (of, false),
            Condition::Compare { left, sign, right } => return self.compare(left, sign, right, root, variant),
        };
        // All are looked at, so that a mistake in one shows whatever the others say.
        let mut result = !wanted;
        for one in of {
            if self.check(one, root, variant)? == wanted {
                result = wanted;
            }
        }
        Ok(result)
    }

    fn compare(
        &self,
        left: &Operand,
        sign: &str,
        right: &Operand,
        root: &Table,
        variant: Option<&str>,
    ) -> Result<bool, Draft> {
        let (one, other) = (self.amount(left, root, variant)?, self.amount(right, root, variant)?);
        let Some(order) = one.compare(&other) else {
            let title = format!("{} cannot be compared with {}", one.kind(), other.kind());
            return Err(self.text.fault(&(left.at.start..right.at.end), title, "compare values of one kind"));
        };
        if !one.is_ordered() && !matches!(sign, "==" | "!=") {
            let title = format!("{} is not more or less than another", one.kind());
            return Err(self.text.fault(&(left.at.start..right.at.end), title, "write == or !="));
        }
        Ok(match sign {
            "==" => order == Ordering::Equal,
            "!=" => order != Ordering::Equal,
            "<" => order == Ordering::Less,
            "<=" => order != Ordering::Greater,
            ">" => order == Ordering::Greater,
            _ => order != Ordering::Less,
        })
    }

    fn amount(&self, operand: &Operand, root: &Table, variant: Option<&str>) -> Result<Amount, Draft> {
        let key = match &operand.kind {
            OperandKind::Amount(amount) => return Ok(amount.clone()),
            OperandKind::Key(key) => key,
        };
        if let (VARIANT, Some(name)) = (key.as_str(), variant) {
            return Ok(Amount::Text(name.to_owned()));
        }
        let Some(value) = value_at(root, key) else {
            let title = format!("`{}` is neither swept nor written in the scenario", short(key));
            let draft = self.text.fault(&operand.at, title, "write the key into the scenario, or sweep it");
            return Err(draft.help("texts stand in single quotes: variant == 'base'"));
        };
        Amount::of(value).ok_or_else(|| {
            let title = format!("`{}` is {}, which cannot be compared", short(key), value.found());
            self.text.fault(&operand.at, title, "compare a key with one value")
        })
    }
}

fn tokens(text: &str, place: Text) -> Result<Vec<(Token, Range<usize>)>, Draft> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let rest = &text[start..];
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | 'µ' | 'μ');
        let (token, len) = if first.is_whitespace() {
            start += first.len_utf8();
            continue;
        } else if rest.starts_with("||") {
            (Token::Or, 2)
        } else if rest.starts_with("&&") {
            (Token::And, 2)
        } else if first == '(' {
            (Token::Open, 1)
        } else if first == ')' {
            (Token::Close, 1)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else if first == '\'' || first == '"' {
            let Some(len) = rest[1..].find(first) else {
                return Err(place.fault(&(start..text.len()), "the text has no end", "write a quote at its end"));
            };
            (Token::Quoted(rest[1..=len].to_owned()), len + 2)
        } else if is_word(first) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (Token::Word(rest[..len].to_owned()), len)
        } else {
            let label = match first {
                '=' => "write ==",
                '|' => "write ||",
                '&' => "write &&",
                _ => "write a comparison such as nodes <= 10K",
            };
            let title = format!("a constraint cannot hold `{}`", first.escape_default());
            return Err(place.fault(&(start..start + first.len_utf8()), title, label));
        };
        tokens.push((token, start..start + len));
        start += len;
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    next: usize,
    depth: usize,
    /// Where the text ends.
    end: usize,
    text: Text,
}

impl Parser {
    fn peek(&self) -> Option<&(Token, Range<usize>)> {
        self.tokens.get(self.next)
    }

    fn take(&mut self, token: &Token) -> bool {
        let is_next = self.peek().is_some_and(|(next, _)| next == token);
        self.next += usize::from(is_next);
        is_next
    }

    fn expected(&self, what: &str, label: &str) -> Draft {
        let at = self.peek().map_or(self.end..self.end, |(_, at)| at.clone());
        self.text.fault(&at, format!("expected {what}"), label)
    }

    fn any(&mut self) -> Result<Condition, Draft> {
        let mut of = vec![self.all()?];
        while self.take(&Token::Or) {
            of.push(self.all()?);
        }
        Ok(Condition::Any(of))
    }

    fn all(&mut self) -> Result<Condition, Draft> {
        let mut of = vec![self.one()?];
        while self.take(&Token::And) {
            of.push(self.one()?);
        }
        Ok(Condition::All(of))
    }

    fn one(&mut self) -> Result<Condition, Draft> {
        if !self.take(&Token::Open) {
            return self.comparison();
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.expected("fewer parentheses", "write several constraints: all of them must hold"));
        }
        let inner = self.any()?;
        self.depth -= 1;
        match self.take(&Token::Close) {
            true => Ok(inner),
            false => Err(self.expected("a parenthesis", "write )")),
        }
    }

    fn comparison(&mut self) -> Result<Condition, Draft> {
        let left = self.operand()?;
        let sign = match self.peek() {
            Some((Token::Sign(sign), _)) => *sign,
            _ => return Err(self.expected("a comparison", "write one of == != < <= > >=")),
        };
        self.next += 1;
        let right = self.operand()?;
        Ok(Condition::Compare { left, sign, right })
    }

    fn operand(&mut self) -> Result<Operand, Draft> {
        let Some((token, at)) = self.peek().cloned() else {
            return Err(self.expected("a key or a value", "write for example nodes <= 10K"));
        };
        let kind = match token {
            Token::Quoted(text) => OperandKind::Amount(Amount::of_text(&text)),
            Token::Word(word) if word == "true" || word == "false" => {
                OperandKind::Amount(Amount::Boolean(word == "true"))
            }
            Token::Word(word) if word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => {
                let amount = Amount::of_number(&word).unwrap_or_else(|| Amount::of_text(&word));
                if matches!(amount, Amount::Text(_)) {
                    let title = format!("`{}` is no number and no quantity", short(&word));
                    return Err(self.text.fault(&at, title, "write for example 0.1, 10K, 30s, or 'a text'"));
                }
                OperandKind::Amount(amount)
            }
            Token::Word(word) => OperandKind::Key(word),
            _ => return Err(self.expected("a key or a value", "write for example nodes <= 10K")),
        };
        self.next += 1;
        Ok(Operand { at, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tree;
    use super::*;

    fn parsed(text: &str) -> Result<Constraint, Draft> {
        Constraint::parse(text, Place { source: 0, start: 10, end: 12 + text.len() })
    }

    #[track_caller]
    fn holds(text: &str) -> Result<bool, Draft> {
        let scenario = "nodes = \"1K\"\nmeasure = \"90s\"\nnetwork.loss = 0.25\napproaches = [\"ping\"]\n\
            network.latency.model = \"uniform\"\nheartbeat.size = \"1 kB\"";
        parsed(text)?.holds(&tree::document(scenario, 0).root, Some("base"))
    }

    #[test]
    fn comparisons_are_joined_as_usual() {
        for (text, expected) in [
            ("nodes <= 1000", true),
            ("nodes<1K", false),
            ("nodes == 1_000 && network.loss > 0.2", true),
            ("nodes > 1K || network.loss > 0.3", false),
            ("network.loss > 0.3 && nodes > 1 || measure == 1.5min", true),
            ("network.loss > 0.3 && (nodes > 1 || measure == 1.5min)", false),
            ("heartbeat.size >= '1000 B'", true),
            ("network.latency.model == 'uniform'", true),
            ("network.latency.model != \"uniform\"", false),
            ("variant == 'base'", true),
            ("0.25 == network.loss", true),
        ] {
            assert_eq!(holds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_at_their_place() {
        let deep = format!("{}1 < 2", "(".repeat(DEPTH_MAX + 1));
        for (text, start, part) in [
            ("", 0, "expected a key or a value"),
            ("nodes", 5, "expected a comparison"),
            ("nodes = 5", 6, "write =="),
            ("nodes < 5 | 1 < 2", 10, "write ||"),
            ("nodes < 5 nodes < 6", 10, "should end here"),
            ("(nodes < 5", 10, "expected a parenthesis"),
            ("nodes < 5xx", 8, "no number and no quantity"),
            ("nodes < 'a", 8, "the text has no end"),
            ("nodes < 30s", 0, "a number cannot be compared with a duration"),
            ("network.latency.model < 'a'", 0, "a text is not more or less"),
            ("network.los < 1", 0, "neither swept nor written"),
            ("approaches == 'ping'", 0, "a list, which cannot be compared"),
            ("nodes < 5 \u{1b}", 10, "cannot hold `\\u{1b}`"),
            (&deep, DEPTH_MAX + 1, "fewer parentheses"),
        ] {
            let draft = holds(text).unwrap_err();
            let said = format!("{}: {}", draft.title, draft.label);
            assert!(said.contains(part), "{text}: {said}");
            assert_eq!(draft.at.start, 11 + start, "{text}: {said}");
        }
        assert!(parsed(&"1<2&&".repeat(1_000)).is_err());
    }

    #[test]
    fn a_mistake_shows_even_where_the_rest_decides() {
        assert!(holds("nodes > 1 || network.los < 1").is_err());
    }
}
