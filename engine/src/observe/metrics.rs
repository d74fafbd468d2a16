//! `/metrics`: the state of an engine in the format of Prometheus. docs/OPERATIONS.md describes
//! each metric.
//!
//! Labels have few values, and no value comes from a caller. So the size of the page depends on the
//! configuration only.

use super::process::EngineProcess;
use super::status::{EngineStatus, FunctionState, OUTCOMES, Observed};
use crate::functions::{Histogram, Segments};
use crate::launcher::End;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;

pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// The data of the page at one moment.
#[derive(Debug)]
pub struct Metrics {
    /// The engine's state.
    pub status: EngineStatus,
    /// The parts of the time of each function's calls, in the order of the functions.
    pub segments: Vec<Option<Segments>>,
}

impl Metrics {
    /// Writes the page. This takes some milliseconds for a thousand functions, so it must not run
    /// on the I/O thread.
    pub fn page(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut page = String::new();
        prometheus_text::encode(&mut page, &registry)?;
        Ok(page)
    }

    fn segments(&self) -> impl Iterator<Item = (&str, &Segments)> {
        let functions = self.status.functions.iter().zip(&self.segments);
        functions
            .filter_map(|(function, segments)| Some((function.name.as_str(), segments.as_ref()?)))
    }
}

impl Observed {
    /// Returns the data of the page of metrics.
    pub fn metrics(&self) -> Metrics {
        let status = self.status();
        let core = self.core.borrow();
        let scheduler = core.scheduler();
        Metrics {
            status,
            segments: scheduler.functions().map(|id| scheduler.segments(id).cloned()).collect(),
        }
    }
}

/// The labels of a sample.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// The page while it is written, metric by metric.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// Writes a counter; `_total` is added to its name.
    fn counter<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    /// Writes a gauge.
    fn gauge<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Writes a histogram of times.
    fn histogram<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a, N>, &'a Histogram)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, times) in samples {
            let mut sample = metric.encode_family(&labels)?;
            sample.encode_histogram::<NoLabelSet>(
                times.sum_s(),
                times.count(),
                &times.coarse(),
                None,
            )?;
        }
        Ok(())
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.calls(&mut page)?;
        self.times(&mut page)?;
        self.concurrency(&mut page)?;
        self.processes(&mut page)?;
        self.engine(&mut page)
    }
}

impl Metrics {
    /// Returns one sample for each function.
    fn each<'a>(
        &'a self,
        value: impl Fn(&FunctionState) -> f64 + 'a,
    ) -> impl Iterator<Item = (Labels<'a, 1>, f64)> {
        let sample = move |function: &'a FunctionState| {
            ([("function", function.name.as_str())], value(function))
        };
        self.status.functions.iter().map(sample)
    }

    /// Returns one sample for each function and each of these values of a label.
    fn each_by<'a, const N: usize>(
        &'a self,
        label: &'static str,
        values: impl Fn(&FunctionState) -> [(&'static str, f64); N] + 'a,
    ) -> impl Iterator<Item = (Labels<'a, 2>, f64)> {
        self.status.functions.iter().flat_map(move |function| {
            let name = function.name.as_str();
            values(function).map(|(kind, value)| ([("function", name), (label, kind)], value))
        })
    }

    fn calls(&self, page: &mut Page<'_>) -> fmt::Result {
        let ended = self.status.functions.iter().flat_map(|function| {
            let by_origin =
                [("external", &function.ended.external), ("internal", &function.ended.internal)];
            by_origin.into_iter().flat_map(move |(origin, ended)| {
                OUTCOMES.iter().map(move |outcome| {
                    let count = ended.get(*outcome).copied().unwrap_or_default();
                    (
                        [
                            ("function", function.name.as_str()),
                            ("origin", origin),
                            ("outcome", *outcome),
                        ],
                        count as f64,
                    )
                })
            })
        });
        page.counter("nightcore_calls", "Calls that ended, answered or with this error", ended)?;
        let responses = self.status.functions.iter().flat_map(|function| {
            function.responses.iter().map(|(class, count)| {
                ([("function", function.name.as_str()), ("class", class.as_str())], *count as f64)
            })
        });
        page.counter(
            "nightcore_responses",
            "Responses to clients, by the class of their HTTP status",
            responses,
        )?;
        let not_found = &self.status.not_found;
        let not_found = [("external", not_found.external), ("internal", not_found.internal)];
        page.counter(
            "nightcore_calls_of_unknown_functions",
            "Calls that ended with NOT_FOUND",
            not_found.map(|(origin, count)| ([("origin", origin)], count as f64)),
        )?;
        page.gauge(
            "nightcore_open_calls",
            "Calls whose handler computes (running), or waits for a call of its own (waiting)",
            self.each_by("state", |f| {
                [("running", f.running.into()), ("waiting", f.waiting.into())]
            }),
        )?;
        page.gauge(
            "nightcore_leases",
            "Workers that containers of other functions may call directly",
            self.each(|f| f.leases.into()),
        )?;
        page.gauge(
            "nightcore_queued_calls",
            "Calls that wait for a worker or for the limit",
            self.each(|f| f.queued.into()),
        )?;
        page.gauge(
            "nightcore_queued_bytes",
            "Bytes that queued calls carry",
            self.each(|f| f.queued_bytes as f64),
        )
    }

    fn times(&self, page: &mut Page<'_>) -> fmt::Result {
        let whole = self.segments().map(|(name, segments)| ([("function", name)], &segments.whole));
        page.histogram(
            "nightcore_call_duration_seconds",
            "Time from a call's arrival until the engine had its answer or its handler's error",
            whole,
        )?;
        let by_segment = self.segments().flat_map(|(name, segments)| {
            let Segments { queued, woken, ran, returned, .. } = segments;
            let by_segment =
                [("queued", queued), ("woken", woken), ("ran", ran), ("returned", returned)];
            by_segment.map(|(segment, times)| ([("function", name), ("segment", segment)], times))
        });
        page.histogram("nightcore_call_segment_seconds", "Where that time went", by_segment)
    }

    fn concurrency(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "nightcore_arrivals_per_second",
            "Lambda: calls accepted in a second, lately",
            self.each(|f| f.rate_per_s),
        )?;
        page.gauge(
            "nightcore_service_seconds",
            "Average time of a call, lately: running, without its waits (run), and open, without \
             what its calls were queued (open)",
            self.each_by("kind", |f| [("run", f.run_us / 1e6), ("open", f.open_us / 1e6)]),
        )?;
        page.gauge(
            "nightcore_tau",
            "Lambda times run: how many calls run at once on average",
            self.each(|f| f.tau),
        )?;
        page.gauge(
            "nightcore_limit_calls",
            "How many calls may run at once now",
            self.each(|f| f.limit.into()),
        )?;
        page.gauge(
            "nightcore_max_calls",
            "How many calls may run at once at most",
            self.each(|f| f.max.into()),
        )
    }

    fn processes(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "nightcore_available",
            "1 if calls are accepted, 0 if they end with UNAVAILABLE",
            self.each(|f| f64::from(u8::from(f.unavailable.is_none()))),
        )?;
        page.gauge(
            "nightcore_containers",
            "Connected processes: with a worker (ready), without one yet (starting), that get no \
             new calls (set_aside)",
            self.each_by("state", |f| {
                let containers = &f.containers;
                [
                    ("ready", containers.ready.into()),
                    ("starting", containers.starting.into()),
                    ("set_aside", containers.set_aside.into()),
                ]
            }),
        )?;
        page.gauge(
            "nightcore_workers",
            "Workers: without a call (idle), with one (busy), being created (starting)",
            self.each_by("state", |f| {
                [("idle", f.idle.into()), ("busy", f.busy.into()), ("starting", f.starting.into())]
            }),
        )?;
        page.counter(
            "nightcore_restarts",
            "Processes that were started again, by how the one before ended",
            self.each_by("reason", |f| {
                End::REASONS.map(|reason| {
                    (reason, f.restarts_by_reason.get(reason).copied().unwrap_or_default() as f64)
                })
            }),
        )?;
        page.counter(
            "nightcore_stuck_containers",
            "Processes that were replaced because a handler did not end",
            self.each(|f| f.stuck as f64),
        )?;
        page.gauge(
            "nightcore_quarantined_inputs",
            "Inputs that are refused, as they were under way when processes died",
            self.each(|f| f.quarantined.len() as f64),
        )?;
        page.counter(
            "nightcore_quarantine_refused_calls",
            "Calls that were refused for their input",
            self.each(|f| f.quarantine_refused as f64),
        )?;
        page.counter(
            "nightcore_retries",
            "Internal calls that were sent again, as their process died",
            self.each(|f| f.retries as f64),
        )?;
        page.gauge(
            "nightcore_arena_mapped_bytes",
            "Shared memory for payloads, by who hands out its blocks",
            self.each_by("owner", |f| {
                let sum = |bytes: fn(&super::status::ProcessState) -> u64| {
                    f.processes.iter().map(bytes).sum::<u64>() as f64
                };
                [
                    ("engine", sum(|p| p.arena_engine_bytes)),
                    ("function", sum(|p| p.arena_function_bytes)),
                ]
            }),
        )?;
        page.gauge(
            "nightcore_arena_used_bytes",
            "Shared memory in use for payloads that the engine has sent to processes",
            self.each(|f| f.processes.iter().map(|p| p.arena_used_bytes).sum::<u64>() as f64),
        )
    }

    fn engine(&self, page: &mut Page<'_>) -> fmt::Result {
        let (status, process) = (&self.status, EngineProcess::read());
        let one = |value: f64| [([], value)];
        let known = |value: Option<f64>| value.map(|value| ([], value));
        page.gauge(
            "nightcore_build_info",
            "1, with the engine's version",
            [([("version", status.version.as_str())], 1.0)],
        )?;
        page.counter::<0>(
            "nightcore_arena_payloads",
            "Payloads that went by shared memory",
            one(status.arena_payloads as f64),
        )?;
        let memory = &status.memory;
        for (name, help, bytes) in [
            ("nightcore_memory_held_bytes", "Held by requests and answers", memory.held_bytes),
            ("nightcore_memory_limit_bytes", "The most that they may hold", memory.limit_bytes),
        ] {
            page.gauge::<0>(name, help, one(bytes as f64))?;
        }
        page.counter::<0>(
            "nightcore_memory_refused",
            "Requests and answers for which there was no memory",
            one(memory.refused as f64),
        )?;
        page.gauge::<0>(
            "process_start_time_seconds",
            "When the engine started, since 1970",
            one(status.started_at_s),
        )?;
        page.counter::<0>(
            "process_cpu_seconds",
            "Time of processors that the engine has used",
            known(process.cpu_s),
        )?;
        let count = |value: Option<u64>| known(value.map(|value| value as f64));
        page.gauge::<0>(
            "process_resident_memory_bytes",
            "Memory of the engine",
            count(process.resident_bytes),
        )?;
        page.gauge::<0>(
            "process_open_fds",
            "Open descriptors of the engine",
            count(process.open_files),
        )?;
        page.gauge::<0>(
            "process_max_fds",
            "How many descriptors it may have",
            count(process.max_open_files),
        )
    }
}
