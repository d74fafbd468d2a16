//! The charts of the page, as inline SVG. They use the page's colours, so they follow its light and
//! dark modes.

use std::fmt::Write as _;

use crate::report::html::escape;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
/// The room for the numbers on the left and below, and for half a label after the last point.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;
/// The height of a bar, the distance between two bars, and the room for their names.
const BAR_HEIGHT: f64 = 30.0;
const BAR_STEP: f64 = 44.0;
const NAMES_WIDTH: f64 = 150.0;
/// The least width of a part of a bar that has room for its number.
const NUMBER_WIDTH: f64 = 40.0;
/// The approximate number of grid lines, which is enough to read a number.
const WANTED_TICKS: f64 = 5.0;
/// The number of colours that the page has for series.
pub const COLOURS: usize = 6;

/// A named series of values: one line in a chart of lines, or one part of each bar.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    /// One value for each place on the axis, or `None` where nothing was measured.
    pub values: Vec<Option<f64>>,
}

/// The scale of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    FromZero,
    /// A logarithmic scale, for values that differ a lot. All values must be above 0.
    Log,
}

/// Returns a chart of lines over named places, or `None` if there is no value.
pub fn lines(
    what: &str,
    places: &[&str],
    series: &[Series],
    scale: Scale,
    unit: &str,
) -> Option<String> {
    let is_shown = |value: &f64| value.is_finite() && (scale == Scale::FromZero || *value > 0.0);
    let values = || {
        series.iter().flat_map(|series| series.values.iter().flatten().copied()).filter(is_shown)
    };
    let most = values().reduce(f64::max)?;
    let least = values().reduce(f64::min)?;
    let ticks = match scale {
        Scale::FromZero => linear_ticks(most),
        Scale::Log => log_ticks(least, most),
    };
    let (low, high) = (*ticks.first()?, *ticks.last()?);
    let share = |value: f64| match scale {
        Scale::FromZero => value / high,
        Scale::Log => (value / low).ln() / (high / low).ln(),
    };
    let y_of = |value: f64| HEIGHT - BOTTOM - share(value) * (HEIGHT - BOTTOM - TOP);
    let step = (WIDTH - LEFT - RIGHT) / places.len().max(1) as f64;
    let x_of = |place: usize| LEFT + step * (place as f64 + 0.5);

    let mut svg = open(what, HEIGHT);
    for tick in &ticks {
        let (y, number) = (y_of(*tick), number(*tick));
        let (x1, x2, text_x, text_y) = (LEFT, WIDTH - RIGHT, LEFT - 8.0, y + 5.0);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x1}\" x2=\"{x2}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"end\" x=\"{text_x}\" y=\"{text_y:.1}\">{number}</text>"
        );
    }
    for (place, name) in places.iter().enumerate() {
        let (x, y, name) = (x_of(place), HEIGHT - BOTTOM + 20.0, escape(name));
        let _ = write!(svg, "<text class=\"middle\" x=\"{x:.1}\" y=\"{y}\">{name}</text>");
    }
    for (index, Series { name, values }) in series.iter().enumerate() {
        let points: Vec<(usize, f64)> = values
            .iter()
            .enumerate()
            .filter_map(|(place, value)| value.filter(&is_shown).map(|value| (place, value)))
            .collect();
        let colour = index % COLOURS;
        let path: Vec<String> = points
            .iter()
            .map(|(place, value)| format!("{:.1},{:.1}", x_of(*place), y_of(*value)))
            .collect();
        let _ = write!(svg, "<polyline class=\"line c{colour}\" points=\"{}\"/>", path.join(" "));
        for (place, value) in points {
            let (x, y) = (x_of(place), y_of(value));
            let told = format!(
                "{name}, {}: {} {unit}",
                places.get(place).unwrap_or(&""),
                self::number(value)
            );
            let told = escape(&told);
            let _ = write!(
                svg,
                "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\">\
                 <title>{told}</title></circle>"
            );
        }
    }
    Some(svg + "</svg>" + &legend(series))
}

/// Returns a chart with one bar for each place, or `None` if there is no value. Each bar is
/// made up of one part for each series.
pub fn bars(what: &str, places: &[&str], series: &[Series], unit: &str) -> Option<String> {
    let value_of = |series: &Series, place: usize| {
        series
            .values
            .get(place)
            .copied()
            .flatten()
            .filter(|value| value.is_finite() && *value > 0.0)
    };
    let whole =
        |place: usize| series.iter().filter_map(|series| value_of(series, place)).sum::<f64>();
    let most = (0..places.len()).map(whole).fold(0.0, f64::max);
    if most == 0.0 {
        return None;
    }
    let scale = (WIDTH - NAMES_WIDTH - RIGHT - LEFT) / most;
    let mut svg = open(what, BAR_STEP * places.len() as f64 + TOP);
    for (place, name) in places.iter().enumerate() {
        let (y, text_x) = (TOP + BAR_STEP * place as f64, NAMES_WIDTH - 8.0);
        let text_y = y + BAR_HEIGHT / 2.0 + 5.0;
        let _ = write!(
            svg,
            "<text class=\"end\" x=\"{text_x}\" y=\"{text_y}\">{}</text>",
            escape(name)
        );
        let mut x = NAMES_WIDTH;
        for (index, one) in series.iter().enumerate() {
            let Some(value) = value_of(one, place) else { continue };
            let (width, colour) = (value * scale, index % COLOURS);
            let told = escape(&format!("{name}, {}: {} {unit}", one.name, number(value)));
            let _ = write!(
                svg,
                "<rect class=\"part c{colour}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" \
                 height=\"{BAR_HEIGHT}\"><title>{told}</title></rect>"
            );
            if width >= NUMBER_WIDTH {
                let (middle, number) = (x + width / 2.0, number(value));
                let _ = write!(
                    svg,
                    "<text class=\"middle on\" x=\"{middle:.1}\" y=\"{text_y}\">{number}</text>"
                );
            }
            x += width;
        }
        let (x, whole) = (x + 8.0, number(whole(place)));
        let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{text_y}\">{whole} {}</text>", escape(unit));
    }
    Some(svg + "</svg>" + &legend(series))
}

fn open(what: &str, height: f64) -> String {
    let what = escape(what);
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{what}\">")
}

fn legend(series: &[Series]) -> String {
    let mut html = String::from("<ul class=\"legend\">");
    for (index, Series { name, values }) in series.iter().enumerate() {
        if values.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(
            html,
            "<li><span class=\"swatch c{}\"></span>{}</li>",
            index % COLOURS,
            escape(name)
        );
    }
    html + "</ul>"
}

/// Returns the ticks from 0 to the first one at or above `most`, in steps of 1, 2 or 5 times a
/// power of ten.
fn linear_ticks(most: f64) -> Vec<f64> {
    let rough = most.max(f64::MIN_POSITIVE) / WANTED_TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    let count = (most / step).ceil().max(1.0) as usize;
    (0..=count).map(|index| index as f64 * step).collect()
}

/// Returns the ticks from the last one at or below `least` to the first one at or above `most`, in
/// steps of 1, 2, 5 and 10.
fn log_ticks(least: f64, most: f64) -> Vec<f64> {
    let first = 10f64.powf(least.log10().floor());
    let mut ticks = Vec::new();
    let mut power = first;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            let tick = factor * power;
            if ticks.last().is_some_and(|last| *last >= most) && ticks.len() > 1 {
                return ticks;
            }
            // A tick at or below `least` replaces all earlier ticks, which are not needed.
            if tick <= least {
                ticks.clear();
            }
            ticks.push(tick);
        }
        power *= 10.0;
    }
}

/// Formats a number with three digits, without trailing zeros after the point.
fn number(value: f64) -> String {
    let digits = match value {
        value if value >= 100.0 || value == 0.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series { name: "a<b".into(), values: values.iter().map(|value| Some(*value)).collect() }
    }

    #[test]
    fn ticks_hold_all_values() {
        assert_eq!(linear_ticks(71_000.0), vec![0.0, 20_000.0, 40_000.0, 60_000.0, 80_000.0]);
        assert_eq!(linear_ticks(1.2), vec![0.0, 0.5, 1.0, 1.5]);
        assert_eq!(log_ticks(3.0, 80.0), vec![2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert_eq!(log_ticks(5.0, 5.0), vec![5.0, 10.0]);
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.05, 1.5, 12.34, 100.0, 71_234.5].map(number);
        assert_eq!(shown, ["0", "0.05", "1.5", "12.3", "100", "71234"]);
    }

    #[test]
    fn names_are_escaped() {
        let picture = lines("x & y", &["<1>"], &[series(&[3.0])], Scale::Log, "µs").unwrap();
        assert!(
            picture.contains("x &amp; y")
                && picture.contains("&lt;1&gt;")
                && picture.contains("a&lt;b")
        );
        let picture = bars("x", &["<1>"], &[series(&[3.0])], "µs").unwrap();
        assert!(
            picture.contains("&lt;1&gt;") && picture.contains("a&lt;b") && !picture.contains("a<b")
        );
    }

    #[test]
    fn without_values_there_is_no_picture() {
        assert_eq!(lines("x", &["1"], &[series(&[])], Scale::FromZero, ""), None);
        assert_eq!(lines("x", &["1"], &[series(&[0.0])], Scale::Log, ""), None);
        assert_eq!(bars("x", &["1"], &[series(&[0.0])], ""), None);
    }
}
