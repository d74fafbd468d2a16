//! The ratios of an application's figures to other figures, and their bars.

use crate::calls::load_rounds::LoadRounds;
use crate::calls::pairs::median_ratio;
use crate::report::figures::{Bar, Report};

/// The bars of one language's application, as ratios to other figures of the same rounds.
struct Bars {
    language: &'static str,
    /// The application over gRPC that this application is compared with.
    grpc: &'static str,
    /// The minimum rate, as a share of the plain echo's rate, at 16 and 64 connections.
    rps_over_external: f64,
    /// The minimum rate, as a multiple of the rate over gRPC, at 16 and 64 connections.
    rps_over_grpc: Option<f64>,
    /// The maximum p50, as a multiple of the p50 of gRPC-Go, at one connection.
    p50_over_grpc_go: Option<f64>,
}

const GRPC_GO: &str = "grpc_go";
const BARS: [Bars; 5] = [
    Bars {
        language: "c",
        grpc: GRPC_GO,
        rps_over_external: 0.38,
        rps_over_grpc: None,
        p50_over_grpc_go: Some(0.1),
    },
    Bars {
        language: "go",
        grpc: GRPC_GO,
        rps_over_external: 0.26,
        rps_over_grpc: Some(2.2),
        p50_over_grpc_go: Some(0.35),
    },
    Bars {
        language: "node",
        grpc: "grpc_node",
        rps_over_external: 0.33,
        rps_over_grpc: Some(12.0),
        p50_over_grpc_go: Some(0.35),
    },
    Bars {
        language: "python",
        grpc: "grpc_python",
        rps_over_external: 0.22,
        rps_over_grpc: None,
        p50_over_grpc_go: Some(0.15),
    },
    Bars {
        language: "asyncio",
        grpc: "grpc_python",
        rps_over_external: 0.28,
        rps_over_grpc: Some(22.0),
        p50_over_grpc_go: None,
    },
];

fn bars_of(language: &str) -> Option<&'static Bars> {
    BARS.iter().find(|bars| bars.language == language)
}

/// Returns whether the report contains ratios of a language's figures to those of another
/// application. The figures of all languages have ratios to the plain echo, which the engine of the
/// application in C serves.
pub fn is_compared_with(language: &str, other: &str) -> bool {
    bars_of(language).is_some_and(|bars| {
        let is_to_grpc_go = bars.p50_over_grpc_go.is_some() && other == GRPC_GO;
        bars.grpc == other || is_to_grpc_go || other == "c"
    })
}

/// One application at one number of connections, with the rounds that its ratios need.
pub struct Compared<'a> {
    /// The key of the application's language.
    pub language: &'a str,
    pub connections: usize,
    pub own: &'a LoadRounds,
    /// The rounds of the plain echo, if it was measured.
    pub external: Option<&'a LoadRounds>,
}

impl<'a> Compared<'a> {
    /// Adds the ratios below `key`, with their bars. `rounds_of` returns the rounds of another
    /// application.
    pub fn tell(
        &self,
        report: &mut Report,
        key: &str,
        rounds_of: impl Fn(&str) -> Option<&'a LoadRounds>,
    ) {
        let Some(bars) = bars_of(self.language) else { return };
        let (own, has_rate_bars) = (self.own, matches!(self.connections, 16 | 64));
        if let Some(external) = self.external {
            let ratio = median_ratio(&own.rps, &external.rps);
            report.add_with_least(
                &format!("{key}.rps_over_external"),
                ratio,
                bars.rps_over_external,
            );
        }
        if let Some(grpc) = rounds_of(bars.grpc)
            && matches!(self.connections, 1 | 16 | 64)
        {
            let bar = bars.rps_over_grpc.filter(|_| has_rate_bars).map(Bar::AtLeast);
            let ratio = median_ratio(&own.rps, &grpc.rps);
            report.add_with(&format!("{key}.rps_over_grpc"), ratio, bar);
            let is_to_go = bars.grpc == GRPC_GO && self.connections == 1;
            let bar = bars.p50_over_grpc_go.filter(|_| is_to_go).map(Bar::AtMost);
            let ratio = median_ratio(&own.p50_us, &grpc.p50_us);
            report.add_with(&format!("{key}.p50_over_grpc"), ratio, bar);
        }
        if let (Some(bar), Some(grpc_go)) = (bars.p50_over_grpc_go, rounds_of(GRPC_GO))
            && bars.grpc != GRPC_GO
            && self.connections == 1
        {
            let ratio = median_ratio(&own.p50_us, &grpc_go.p50_us);
            report.add_with_bar(&format!("{key}.p50_over_grpc_go"), ratio, bar);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rps: f64, p50_us: f64) -> LoadRounds {
        let mut rounds = LoadRounds::default();
        rounds.rps.push(rps);
        rounds.p50_us.push(p50_us);
        rounds
    }

    /// Returns the report's lines about an application that serves 300 requests/s, with 30 µs for a
    /// request.
    fn told(language: &str, connections: usize, external: Option<&LoadRounds>) -> Vec<String> {
        let (own, go, node) = (rounds(300.0, 30.0), rounds(100.0, 100.0), rounds(20.0, 300.0));
        let mut report = Report::default();
        let compared = Compared { language, connections, own: &own, external };
        compared.tell(&mut report, "key", |other| match other {
            "grpc_go" => Some(&go),
            "grpc_node" => Some(&node),
            _ => None,
        });
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        report.table().lines().map(words).collect()
    }

    #[test]
    fn the_bars_depend_on_language_and_connections() {
        assert_eq!(
            told("c", 1, None),
            ["key.rps_over_grpc 3.000", "key.p50_over_grpc 0.300 bar <= 0.100 SHORT"]
        );
        assert_eq!(
            told("node", 1, None),
            [
                "key.rps_over_grpc 15.000",
                "key.p50_over_grpc 0.100",
                "key.p50_over_grpc_go 0.300 bar <= 0.350 ok"
            ]
        );
        assert_eq!(
            told("node", 16, Some(&rounds(1000.0, 1.0))),
            [
                "key.rps_over_external 0.300 bar >= 0.330 SHORT",
                "key.rps_over_grpc 15.000 bar >= 12.000 ok",
                "key.p50_over_grpc 0.100"
            ]
        );
    }

    #[test]
    fn an_application_that_was_not_measured_has_no_ratios() {
        assert!(told("asyncio", 64, None).is_empty() && told("mixed", 64, None).is_empty());
        assert!(is_compared_with("python", "grpc_go") && !is_compared_with("asyncio", "grpc_go"));
    }
}
