//! `report.html`: one file with all that results say, for a browser without a network.
//!
//! The template escapes whatever stands in result files; charts are made of the files anew, never taken from them. A
//! policy in the page forbids every request and every script but its own, which only sorts tables. There are no dates, so
//! the same results give the same bytes.

mod section;
mod tables;

use askama::Template;

use super::folder::{ReadError, ResultFolder};
use super::plot::dark_css;
use section::Section;

/// The most results of a report.
pub const RESULTS_MAX: usize = 100;

/// The script of the page, and its hash as policies write it: base64 of SHA-256. `scripts/check-report` holds them against
/// each other in a browser.
const SCRIPT: &str = include_str!("page/report.js");
const SCRIPT_HASH: &str = "sha256-AWvpgWS61Niq6sp5Xol7mZTf1jWCq3D95I1yU+NehXY=";

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    version: String,
    results: Vec<Section>,
    dark_css: String,
    script: &'static str,
    script_hash: &'static str,
}

/// The page about the results in `folders`, in their order.
///
/// # Errors
/// If a file of a folder is refused.
pub fn report_html(folders: &[ResultFolder<'_>]) -> Result<Vec<u8>, ReadError> {
    let results: Vec<Section> = folders.iter().map(Section::of).collect::<Result<_, _>>()?;
    let title = match &results[..] {
        [one] => format!("{}: results", one.name),
        all => format!("{} results", all.len()),
    };
    let version = format!("qnetsim {}", env!("CARGO_PKG_VERSION"));
    let dark_css = dark_css("figure");
    let page = Page { title, version, results, dark_css, script: SCRIPT, script_hash: SCRIPT_HASH };
    Ok(page.render().expect("a page in memory cannot fail").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str, files: &[(&'static str, Vec<u8>)]) -> Result<String, String> {
        let folder = ResultFolder::in_memory(name, files);
        report_html(&[folder]).map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_page_with_nothing_says_what_is_missing() {
        let page = page("empty", &[]).unwrap();
        assert!(page.contains("<h1>empty: results</h1>"));
        assert!(page.contains("summary.json is not here") && page.contains("scenario.toml is not here"), "{page}");
        assert!(!page.contains("<figure>"));
    }

    #[test]
    fn a_page_asks_for_nothing() {
        let page = page("x", &[("tables.txt", b"$ qnetsim run https://example.org\n".to_vec())]).unwrap();
        for word in ["src=", "href=\"http", "@import", "url(", "<link", "<iframe", "onload"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
    }

    #[test]
    fn whatever_files_say_is_text() {
        let hostile = "<script>alert(1)</script>\"'&</title></svg><img src=x onerror=alert(2)>";
        let csv = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let row = format!("{},10,event,battery,mobile,life-of-phone,h,5,,\n", csv(hostile));
        let figures = format!("approach,nodes,obtained,topic,subject,figure,unit,value,claim,documented\n{row}");
        let config =
            format!("# command: {hostile}\n# version: {hostile}\n# hash: {hostile}\nname = \"\"\"{hostile}\"\"\"\n");
        let files = [
            ("figures.csv", figures.into_bytes()),
            ("scenario.toml", config.into_bytes()),
            ("tables.txt", format!("$ {hostile}\n{hostile}\n").into_bytes()),
            ("notes.csv", format!("note\n{}\n", csv(hostile)).into_bytes()),
            ("thresholds.csv", format!("threshold,approach,nodes,metric,measured,verdict\n{0},{0},3,{0},,{0}\n", csv(hostile)).into_bytes()),
            ("claims.csv", format!("id,claim,part,unit,documented,simulated,machine,simulated_verdict,machine_verdict,because,missing\n{0},{0},{0},{0},1,1,,{0},,{0},\n", csv(hostile)).into_bytes()),
        ];
        let page = page(hostile, &files).unwrap();
        assert!(
            !page.contains("<script>alert") && !page.contains("<img") && page.contains("onerror=alert(2)"),
            "{page}"
        );
        assert_eq!(page.matches("<script>").count(), 1, "the page's own");
        assert_eq!(page.matches("</title>").count(), page.matches("<title>").count());
        assert!(page.contains("<figure>") && page.contains("life-of-phone"), "a chart with the name in it");
    }

    #[test]
    fn claims_say_what_made_them() {
        let made = br#"{"command": "qnetsim claims --id QN-20", "version": "v", "machine": "2 cores", "claims": []}"#;
        let rows = "id,claim,part,unit,documented,simulated,machine,simulated_verdict,machine_verdict,because,missing\n\
            QN-20,a,,msg/s,5,5,,holds,,so,\nQN-21,b,x,s,5,,9,,off by 2,so,\nQN-21,b,y,s,5,,5,,off by 2,so,\n";
        let files = [("claims.json", made.to_vec()), ("claims.csv", rows.as_bytes().to_vec())];
        let page = page("claims", &files).unwrap();
        assert!(page.contains("Claims: 1 holds, 1 off by a factor."), "{page}");
        assert!(page.contains("<dt>machine</dt><dd>2 cores</dd>") && page.contains("qnetsim claims --id QN-20"));
        assert!(!page.contains("is not here"));
    }

    #[test]
    fn a_malformed_file_is_refused_with_its_line() {
        let files = [("bandwidth.csv", b"approach,nodes\nx\n".to_vec())];
        assert_eq!(page("x", &files).unwrap_err(), "bandwidth.csv, line 2: 1 cells under 2 columns");
        let files = [("scenario.toml", b"name = \"a\"\nseed = \n".to_vec())];
        assert!(page("x", &files).unwrap_err().starts_with("scenario.toml, line 2: "));
        let files = [("summary.json", b"{\n\"deterministic\": 5}".to_vec())];
        assert!(page("x", &files).unwrap_err().starts_with("summary.json, line 2: "));
    }
}
