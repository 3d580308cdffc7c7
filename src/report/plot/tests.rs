//! Pictures of the committed results: words within the picture and beside each other, well-formed, the same each time.

use std::path::PathBuf;

use super::scene::{Label, Mark, WIDTH};
use super::*;

/// Every picture of every committed result.
fn committed() -> Vec<(String, Picture)> {
    let mut all = Vec::new();
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir("results").unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    for path in folders {
        let folder = ResultFolder::open(&path).unwrap();
        for kind in Kind::ALL {
            let drawn = pictures(&folder, kind, &Choice::default()).unwrap();
            all.extend(drawn.into_iter().map(|picture| (format!("{} of {}", kind.name(), folder.name()), picture)));
        }
    }
    all
}

fn labels(scene: &scene::Scene) -> Vec<&Label> {
    scene.marks.iter().filter_map(|mark| if let Mark::Text(label) = mark { Some(label) } else { None }).collect()
}

fn overlap(one: [i32; 4], other: [i32; 4]) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

/// Words stay on the picture and off each other.
#[track_caller]
fn check_words(name: &str, picture: &Picture) {
    let scene = picture.scene(Theme::Light);
    let labels = labels(&scene);
    assert!(labels.len() > 4, "{name}");
    for (index, label) in labels.iter().enumerate() {
        let [left, top, right, bottom] = label.extent();
        let is_inside = left >= 0 && top >= 0 && right <= WIDTH && bottom <= scene.height;
        assert!(is_inside, "{name}: {label:?} {:?} leaves the picture, {} high", label.extent(), scene.height);
        for other in &labels[..index] {
            assert!(!overlap(label.extent(), other.extent()), "{name}: {label:?} lies on {other:?}");
        }
    }
}

#[test]
fn words_of_committed_results_can_be_read() {
    let all = committed();
    for kind in ["network-load", "bandwidth", "coverage", "latency", "detection", "battery"] {
        assert!(all.iter().any(|(name, _)| name.starts_with(kind)), "nothing to look at for {kind}");
    }
    all.iter().for_each(|(name, picture)| check_words(name, picture));
}

#[test]
fn pictures_are_well_formed_in_both_themes_and_the_same_each_time() {
    for (name, picture) in committed() {
        for theme in [Theme::Light, Theme::Dark] {
            let svg = picture.svg(theme);
            assert_eq!(svg, picture.svg(theme), "{name}");
            let text = String::from_utf8(svg).unwrap();
            let document = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let root = document.root_element();
            assert_eq!(root.first_element_child().unwrap().text(), Some(picture.title()), "{name}");
            let tips = document.descendants().filter(|node| node.attribute("class") == Some("tip"));
            let spoken = tips.filter(|tip| tip.first_element_child().and_then(|title| title.text()).is_some());
            assert!(spoken.count() > 0, "{name}: no tooltip");
            let paper = document.descendants().find(|node| node.has_tag_name("rect")).unwrap();
            let expected = if theme == Theme::Light { "#FFFFFF" } else { "#181B20" };
            assert_eq!(paper.attribute("fill"), Some(expected), "{name}");
        }
    }
}

fn results(name: &str) -> ResultFolder<'static> {
    ResultFolder::open(&PathBuf::from("results").join(name)).unwrap()
}

#[test]
fn documented_figures_stand_beside_measured_ones() {
    let drawn = network_load::chart(&results("network-load")).unwrap().unwrap();
    let hollow: usize = drawn.series.iter().map(|series| series.hollow.len()).sum();
    // The documents give rates of four approaches at sizes of which the result has 14.
    assert!(hollow >= 10, "{hollow}");
    let mesh = drawn.series.iter().find(|series| series.name == "full-mesh").unwrap();
    assert_eq!(mesh.points.len(), 4);
    // n (n - 1) messages every 30 s.
    assert!((mesh.points[0].y - 1_000.0 * 999.0 / 30.0).abs() < 1e-6, "{}", mesh.points[0].y);
    assert!(mesh.hollow[0].tip.contains("documented (QN-20)"), "{}", mesh.hollow[0].tip);
}

#[test]
fn a_png_is_a_picture() {
    let drawn = pictures(&results("mobile"), Kind::Battery, &Choice::default()).unwrap();
    let bytes = drawn[0].png(Theme::Dark);
    let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (WIDTH as u32, drawn[0].scene(Theme::Dark).height as u32));
    let colours: std::collections::BTreeSet<&[u8]> = pixels.chunks(3).collect();
    assert!(colours.len() > 20, "letters have soft edges: {}", colours.len());
    assert_eq!(&pixels[..3], [24, 27, 32], "dark paper");
    assert_eq!(bytes, drawn[0].png(Theme::Dark));
}

fn sweep(axes: &str, rows: &[&str]) -> Vec<(&'static str, Vec<u8>)> {
    let text = format!("{axes},approach,nodes,metric,unit,n,mean,sd,ci95_low,ci95_high\n{}\n", rows.join("\n"));
    vec![("sweep-means.csv", text.into_bytes())]
}

fn drawn(files: &[(&'static str, Vec<u8>)], choice: &Choice) -> Result<Vec<Picture>, String> {
    let folder = ResultFolder::in_memory("a-sweep", files);
    pictures(&folder, Kind::Sweep, choice).map_err(|error| error.to_string())
}

#[test]
fn a_sweep_over_one_axis_is_lines_with_bands() {
    let files = sweep(
        "network.loss",
        &["0.1,gossip,9,detection.p99,s,3,30,1,28,32", "0,gossip,9,detection.p99,s,3,20,1,18,22"],
    );
    let all = drawn(&files, &Choice::default()).unwrap();
    assert_eq!(all[0].file_name(Theme::Dark), "sweep-detection.p99-dark");
    let Drawing::Chart(chart) = &all[0].drawing else { panic!("{all:?}") };
    assert_eq!(chart.series[0].points.iter().map(|point| point.x).collect::<Vec<_>>(), [0.0, 0.1]);
    assert_eq!(chart.series[0].points[0].spread, Some((18.0, 22.0)));
    assert!(chart.series[0].has_band && chart.y.label == "detection.p99, s");
    check_words("sweep", &all[0]);
}

#[test]
fn a_sweep_over_two_axes_is_a_heat_map_an_approach() {
    let rows = ["1s,a,p,9,m,1,3,20,1,,", "1s,b,p,9,m,1,3,10,1,,", "100ms,a,p,9,m,1,3,5,1,,", "1s,a,q,9,m,1,3,5,1,,"];
    let files = sweep("interval,mode", &rows);
    let all = drawn(&files, &Choice::default()).unwrap();
    assert_eq!(
        all.iter().map(|picture| picture.title().to_owned()).collect::<Vec<_>>(),
        ["m of p (a-sweep)", "m of q (a-sweep)"]
    );
    let Drawing::Heat(map) = &all[0].drawing else { panic!("{all:?}") };
    assert_eq!(
        (map.xs.clone(), map.ys.clone()),
        (vec!["100ms".to_owned(), "1s".to_owned()], vec!["a".to_owned(), "b".to_owned()])
    );
    assert!(map.cells[1][0].is_none() && map.cells[0][1].as_ref().unwrap().1.contains("interval = 1s, mode = a: 20.0"));
    check_words("heat map", &all[0]);
    let svg = String::from_utf8(all[0].svg(Theme::Light)).unwrap();
    roxmltree::Document::parse(&svg).unwrap();
}

#[test]
fn what_a_sweep_has_not_is_refused() {
    let files = sweep("a,b,c", &["1,1,1,p,9,m,1,3,20,1,,", "2,2,2,p,9,m,1,3,20,1,,"]);
    let fixed = |axis: &str| Choice { metric: None, fixed: vec![(axis.to_owned(), "1".to_owned())] };
    assert!(drawn(&files, &Choice::default()).unwrap_err().contains("has 3 axes (a, b, c)"));
    assert!(drawn(&files, &fixed("d")).unwrap_err().contains("no axis `d`: it has a, b, c"));
    assert_eq!(drawn(&files, &fixed("c")).unwrap().len(), 1);
    let other = Choice { metric: Some("x".to_owned()), ..fixed("c") };
    assert!(drawn(&files, &other).unwrap_err().contains("no metric `x` there: it has m"));
    let twice = sweep("a,b", &["1,1,p,9,m,1,3,20,1,,", "1,1,p,9,m,1,3,20,1,,", "2,2,p,9,m,1,3,20,1,,"]);
    assert!(drawn(&twice, &Choice::default()).unwrap_err().contains("line 3: a second mean of `m`"));
}

#[test]
fn registries_are_measured_or_projected() {
    let text = "claim,users,variant,figure,part,value,unit,how\n,1000,compact,disk,all,600000,bytes,measured\n\
        ,2000,compact,disk,all,1200000,bytes,measured\n,1000000,compact,disk,all,600000000,bytes,projected\n\
        ,1000,compact,miss,p50,4000,ns,measured\n,1000,compact,miss,p99,9000,ns,measured\n";
    let files = [("registry-bench.csv", text.as_bytes().to_vec())];
    let folder = ResultFolder::in_memory("bench", &files);
    let disk = registry::disk(&folder).unwrap().unwrap();
    assert_eq!((disk.series[0].points.len(), disk.series[0].hollow.len()), (2, 1));
    let lookup = registry::lookup(&folder).unwrap().unwrap();
    assert_eq!(lookup.series[0].points[0].spread, Some((4_000.0, 9_000.0)));
    for kind in [Kind::RegistryDisk, Kind::RegistryLookup] {
        check_words(kind.name(), &pictures(&folder, kind, &Choice::default()).unwrap()[0]);
    }
}

#[test]
fn hostile_names_are_cut_and_escaped() {
    let long = "<&\"'".repeat(200);
    let mut text = "approach,nodes,kind,count,min_ms,p50_ms,p90_ms,p99_ms,p999_ms,max_ms\n".to_owned();
    for row in 0..40 {
        let name = format!("{row}{long}").replace('"', "\"\"");
        text += &format!("\"{name}\",10,\"{name}\",5,1e-30,{row},1e9,1e18,1e29,1e30\n");
    }
    let files = [("latency.csv", text.replace(",0,1e9", ",0.5,1e9").into_bytes())];
    let all = pictures(&ResultFolder::in_memory(&long, &files), Kind::Latency, &Choice::default()).unwrap();
    check_words("hostile", &all[0]);
    let svg = String::from_utf8(all[0].svg(Theme::Light)).unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    assert!(document.descendants().all(|node| {
        ["svg", "title", "text", "circle", "polyline", "polygon", "rect", "line"].contains(&node.tag_name().name())
            || !node.is_element()
    }));
    let falling =
        b"approach,nodes,kind,count,min_ms,p50_ms,p90_ms,p99_ms,p999_ms,max_ms\na,1,k,5,1,9,2,3,4,5\n".to_vec();
    let files = [("latency.csv", falling)];
    let error = pictures(&ResultFolder::in_memory("x", &files), Kind::Latency, &Choice::default()).unwrap_err();
    assert_eq!(error.to_string(), "latency.csv, line 2: a percentile is below one that comes before it");
}

#[test]
fn dark_rules_cover_every_colour_of_the_light_theme() {
    let css = dark_css("figure");
    for colour in ["#FFFFFF", "#222222", "#DDDDDD", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#882255"] {
        assert!(
            css.contains(&format!("figure [fill=\"{colour}\"]"))
                && css.contains(&format!("figure [stroke=\"{colour}\"]"))
        );
    }
}
