//! The page of a run: the content of `report.json` for people, with charts. It is one file that
//! loads nothing else.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::calls::segments;
use crate::measure::{app, crowd, external, overload};
use crate::report::chart::{self, Scale, Series};
use crate::report::figures::{Report, Row, shown};
use crate::report::html::escape;
use crate::run::channel::Channel;
use crate::run::settings::Placement;

const STYLE: &str = include_str!("page.css");
/// The quantiles with their names in keys and in the chart.
const QUANTILES: [(&str, &str); 4] =
    [("p50_us", "p50"), ("p90_us", "p90"), ("p99_us", "p99"), ("p999_us", "p99.9")];
/// The keys and labels of the latency chart, in order. `{}` stands for the placement.
const LATENCIES: [(&str, &str); 4] = [
    ("floor.pingpong.{}", "floor: ping-pong"),
    ("floor.relay.{}", "floor: relay"),
    ("internal.fifo.{}.16B", "internal, fifo"),
    ("internal.ring.{}.16B", "internal, ring"),
];

/// The keys and labels of the application's charts, in order.
const APPS: [(&str, [(&str, &str); 6]); 2] = [
    (
        "thousands of requests in a second, by connections",
        [
            ("c", "C"),
            ("go", "Go"),
            ("node", "Node"),
            ("python", "Python, threads"),
            ("asyncio", "Python, asyncio"),
            ("mixed", "mixed"),
        ],
    ),
    (
        "thousands of requests in a second beside gRPC, by connections",
        [
            ("go", "Go"),
            ("grpc_go", "gRPC-Go"),
            ("node", "Node"),
            ("grpc_node", "grpc-js"),
            ("asyncio", "Python, asyncio"),
            ("grpc_python", "grpcio"),
        ],
    ),
];

/// Writes the page. `machine` describes where the run took place.
pub fn write(report: &Report, machine: &[String], path: &Path) -> Result<()> {
    fs::write(path, page(report, machine))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn page(report: &Report, machine: &[String]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Nightcore bench</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<h1>Nightcore bench</h1>\n\
         <div class=\"machine\">"
    );
    for line in machine {
        let _ = write!(html, "<div>{}</div>", escape(line));
    }
    html.push_str("</div>\n");
    html.push_str(&bars(report));
    let parts = [
        latencies(report),
        throughput(report),
        apps(report),
        overloads(report),
        crowds(report),
        times(report),
    ];
    for part in parts.into_iter().flatten() {
        html.push_str(&part);
    }
    html.push_str(&all_figures(report));
    html + "</body>\n</html>\n"
}

fn bars(report: &Report) -> String {
    let rows: Vec<&Row> = report.rows().iter().filter(|row| row.bar.is_some()).collect();
    if rows.is_empty() {
        return String::new();
    }
    let is_met = |row: &&&Row| row.bar.is_some_and(|bar| bar.is_met(row.value));
    let (met, all) = (rows.iter().filter(is_met).count(), rows.len());
    let missed = all - met;
    let short = if missed == 0 {
        String::new()
    } else {
        format!(", <span class=\"missed\">{missed} missed</span>")
    };
    format!(
        "<h2>Bars</h2>\n<p>{met} of {all} are met{short}. Ratios are medians of rounds in which \
         both sides alternate, so that they see the same machine; read them, rather than \
         microseconds.</p>\n{}",
        table(&rows)
    )
}

fn table(rows: &[&Row]) -> String {
    let mut html = String::from(
        "<div class=\"wide\"><table><thead><tr><th>figure</th><th class=\"number\">value</th>\
         <th class=\"number\">bar</th><th></th></tr></thead><tbody>\n",
    );
    for Row { key, value, bar, .. } in rows {
        let _ = write!(html, "<tr><td class=\"key\">{}</td>", escape(key));
        let _ = write!(html, "<td class=\"number\">{}</td>", shown(*value));
        match bar {
            Some(bar) => {
                let (sign, number) = bar.parts();
                let sign = if sign == "<=" { "≤" } else { "≥" };
                let (class, word) =
                    if bar.is_met(*value) { ("met", "met") } else { ("missed", "missed") };
                let bar = shown(number);
                let _ = write!(
                    html,
                    "<td class=\"number\">{sign} {bar}</td><td class=\"{class}\">{word}</td>"
                );
            }
            None => html.push_str("<td></td><td></td>"),
        }
        html.push_str("</tr>\n");
    }
    html + "</tbody></table></div>\n"
}

/// Returns one table for each first word of the keys. The tables are collapsed, because there are
/// many figures.
fn all_figures(report: &Report) -> String {
    let mut html = String::from("<h2>All figures</h2>\n");
    let part_of = |row: &Row| row.key.split('.').next().unwrap_or_default().to_owned();
    let mut parts: Vec<String> = Vec::new();
    for part in report.rows().iter().map(part_of) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    for part in parts {
        let rows: Vec<&Row> = report.rows().iter().filter(|row| part_of(row) == part).collect();
        let (name, count) = (escape(&part), rows.len());
        let _ = write!(
            html,
            "<details><summary>{name} ({count})</summary>\n{}</details>\n",
            table(&rows)
        );
    }
    html
}

fn placements() -> [(Placement, &'static str); 2] {
    [(Placement::OneCore(0), "all processes on one core"), (Placement::Unpinned, "unpinned")]
}

fn latencies(report: &Report) -> Option<String> {
    let places = QUANTILES.map(|(_, name)| name);
    let mut pictures = String::new();
    for (placement, name) in placements() {
        let series = LATENCIES.map(|(key, name)| {
            let key = key.replace("{}", placement.name());
            let values =
                QUANTILES.map(|(quantile, _)| report.get(&format!("{key}.{quantile}"))).into();
            Series { name: name.into(), values }
        });
        let title = format!("µs, {name}");
        pictures += &figure(&title, chart::lines(&title, &places, &series, Scale::Log, "µs"));
    }
    section(
        "Latency of a small internal call",
        "A round trip with 80 bytes in each hop, beside the minimum times for two and four FIFOs. \
         The axis is logarithmic.",
        &pictures,
    )
}

fn throughput(report: &Report) -> Option<String> {
    let names = external::CONNECTIONS.map(|connections| connections.to_string());
    let places: Vec<&str> = names.iter().map(String::as_str).collect();
    let of = |quantity: &str| {
        [("external", "Nightcore"), ("nginx", "nginx"), ("external_fifo", "Nightcore, fifo")].map(
            |(key, name)| {
                let values = names
                    .iter()
                    .map(|count| report.get(&format!("{key}.c{count}.{quantity}")))
                    .collect();
                Series { name: name.into(), values }
            },
        )
    };
    let rate = "thousands of calls in a second, by connections";
    let rates = of("rps").map(|series| Series {
        values: series.values.into_iter().map(|value| value.map(|rps| rps / 1000.0)).collect(),
        ..series
    });
    let cost = "CPU seconds for 100,000 calls, by connections";
    let pictures = figure(rate, chart::lines(rate, &places, &rates, Scale::FromZero, "k/s"))
        + &figure(cost, chart::lines(cost, &places, &of("cpu_s_per_100k"), Scale::FromZero, "s"));
    section(
        "External calls",
        "POST to an empty function, compared with an nginx proxy in front of nginx. The clients \
         run on the same machine. CPU time is that of all processes on the server's side.",
        &pictures,
    )
}

fn apps(report: &Report) -> Option<String> {
    let names = app::CONNECTIONS.map(|connections| connections.to_string());
    let places: Vec<&str> = names.iter().map(String::as_str).collect();
    let picture = |title: &str, keys: &[(&str, &str)]| {
        let series: Vec<Series> = keys
            .iter()
            .map(|(key, name)| {
                let rate = |count: &String| {
                    let rps = report.get(&format!("app.{key}.c{count}.rps"));
                    rps.map(|rps| rps / 1000.0)
                };
                Series { name: (*name).into(), values: names.iter().map(rate).collect() }
            })
            .collect();
        figure(title, chart::lines(title, &places, &series, Scale::Log, "k/s"))
    };
    let pictures = APPS.map(|(title, keys)| picture(title, &keys)).concat();
    section(
        "An application",
        "A frontend over HTTP that makes five internal calls over two levels, among six functions, \
         beside the same application over gRPC. The axis is logarithmic.",
        &pictures,
    )
}

fn overloads(report: &Report) -> Option<String> {
    let capacity = report.get("overload.capacity.rps")?;
    let names = overload::OFFERED.map(|offered| format!("{offered} %"));
    let places: Vec<&str> = names.iter().map(String::as_str).collect();
    let per_cent =
        |offered| report.get(&overload::goodput_key(offered)).map(|rps| rps / capacity * 100.0);
    let series =
        Series { name: "answered in time".into(), values: overload::OFFERED.map(per_cent).into() };
    let title = "calls answered in time, in % of the capacity, by offered load";
    section(
        "Overload",
        "A function that is called more often than it can answer within its timeout. The engine \
         refuses calls at once if their answers would come too late.",
        &figure(title, chart::lines(title, &places, &[series], Scale::FromZero, "%")),
    )
}

fn crowds(report: &Report) -> Option<String> {
    let names = crowd::SIZES.map(|size| size.to_string());
    let places: Vec<&str> = std::iter::once("0").chain(names.iter().map(String::as_str)).collect();
    let mut pictures = String::new();
    for kind in crowd::KINDS {
        let series = crowd::CASES.map(|case| {
            let ratios = crowd::SIZES.map(|size| report.get(&crowd::ratio_key(kind, case, size)));
            // Without a crowd, the ratio is 1.
            let own = ratios.iter().any(Option::is_some).then_some(1.0);
            Series {
                name: case.name().into(),
                values: std::iter::once(own).chain(ratios).collect(),
            }
        });
        let title = format!("ratio to the cost without others, by number of other {}", kind.name());
        pictures +=
            &figure(&title, chart::lines(&title, &places, &series, Scale::FromZero, "times"));
    }
    section(
        "Beside a crowd",
        "The small internal call and the external call over one connection, beside idle functions, \
         workers and connections.",
        &pictures,
    )
}

fn times(report: &Report) -> Option<String> {
    let bars: Vec<(String, Channel, Placement)> = placements()
        .into_iter()
        .flat_map(|(placement, _)| Channel::KINDS.map(|channel| (channel, placement)))
        .map(|(channel, placement)| {
            (
                format!("{}, {}", channel.name(), placement.name().replace('_', " ")),
                channel,
                placement,
            )
        })
        .collect();
    let places: Vec<&str> = bars.iter().map(|(name, ..)| name.as_str()).collect();
    let series = segments::SEGMENTS.map(|segment| {
        let p50_of = |(_, channel, placement): &(String, Channel, Placement)| {
            report.get(&segments::p50_key(*channel, *placement, segment))
        };
        Series { name: segment.into(), values: bars.iter().map(p50_of).collect() }
    });
    let title = "µs, p50 of each segment";
    section(
        "Where the time of a call goes",
        "The engine's own times for the called function: in the queue, from the engine to the \
         worker, in the handler, and back to the engine.",
        &figure(title, chart::bars(title, &places, &series, "µs")),
    )
}

fn figure(title: &str, picture: Option<String>) -> String {
    match picture {
        Some(picture) => {
            let title = escape(title);
            format!(
                "<figure><figcaption>{title}</figcaption>\
                 <div class=\"wide\">{picture}</div></figure>\n"
            )
        }
        None => String::new(),
    }
}

/// Returns a section, or `None` if nothing in it was measured.
fn section(title: &str, text: &str, pictures: &str) -> Option<String> {
    let (title, text) = (escape(title), escape(text));
    let html = format!(
        "<h2>{title}</h2>\n<p class=\"faint\">{text}</p>\n\
         <div class=\"pictures\">\n{pictures}</div>\n"
    );
    (!pictures.is_empty()).then_some(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_figures_and_loads_nothing() {
        let mut report = Report::default();
        report.add_with_bar("internal.ring.unpinned.16B.p50_us", 5.0, 4.0);
        report.add("<script>.rps", 1.0);
        let html = page(&report, &["2 cores & <b>".into()]);
        assert!(html.contains("2 cores &amp; &lt;b&gt;") && html.contains("&lt;script&gt;.rps"));
        assert!(html.contains("0 of 1 are met") && html.contains("1 missed"));
        assert!(
            html.contains("Latency of a small internal call") && !html.contains("Beside a crowd")
        );
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("<script"));
    }

    #[test]
    fn without_figures_there_is_no_picture() {
        let html = page(&Report::default(), &[]);
        assert!(!html.contains("<svg") && !html.contains("Bars"));
    }
}
