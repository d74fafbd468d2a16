//! Runs the measurements that a run asks for, one after the other.

use anyhow::Result;

use crate::measure::{
    app, beside, cancel, crowd, external, fresh, internal, languages, overload, steady,
};
use crate::report::figures::Report;
use crate::run::channel::Channel;
use crate::run::floors::Floors;
use crate::run::settings::Settings;
use crate::run::{functions, interrupt};

/// The parts of a run that need the functions.
const PARTS: [&str; 12] = [
    "internal", "beside", "external", "nginx", "lang", "peer", "app", "cancel", "overload",
    "memory", "idle", "crowd",
];

/// Runs every part that was asked for.
pub fn measure(settings: &Settings, report: &mut Report) -> Vec<anyhow::Error> {
    let mut run = Run { settings, report, failures: Vec::new() };
    if let Err(error) = run.all() {
        run.failures.push(error);
    }
    run.failures
}

/// One run, and its failures.
struct Run<'a> {
    settings: &'a Settings,
    report: &'a mut Report,
    failures: Vec<anyhow::Error>,
}

impl Run<'_> {
    fn all(&mut self) -> Result<()> {
        let settings = self.settings;
        let floors = Floors::build(settings)?;
        self.part(&["floor"], |report| floors.measure(settings, report));
        if !PARTS.iter().any(|part| settings.wants(part)) || self.told_to_end() {
            return Ok(());
        }
        let functions = functions::build(settings)?;
        for placement in settings.placements() {
            let names = Channel::KINDS.map(|channel| internal::key_of(channel, placement));
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.part(&names, |report| {
                internal::measure(settings, &floors, &functions, placement, report)
            });
        }
        for placement in settings.placements() {
            self.part(&[fresh::key_of(placement).as_str()], |report| {
                fresh::measure(settings, &floors, &functions, placement, report)
            });
        }
        self.part(&["beside"], |report| beside::measure(settings, &floors, &functions, report));
        self.part(&["external", "nginx"], |report| external::measure(settings, &functions, report));
        self.part(&["lang", "peer"], |report| languages::measure(settings, &functions, report));
        self.part(&["app"], |report| app::measure(settings, &functions, report));
        self.part(&["cancel"], |report| cancel::measure(settings, &functions, report));
        self.part(&["overload"], |report| overload::measure(settings, &floors, &functions, report));
        self.part(&["memory", "idle"], |report| steady::measure(settings, &functions, report));
        if settings.effort.crowds {
            self.part(&["crowd"], |report| crowd::measure(settings, &functions, report));
        }
        Ok(())
    }

    /// Runs a part. If the part fails, its error is reported at the end, and the other parts still
    /// run, unless the run was told to end.
    fn part(&mut self, names: &[&str], measure: impl FnOnce(&mut Report) -> Result<()>) {
        let wanted: Vec<&str> =
            names.iter().copied().filter(|name| self.settings.wants(name)).collect();
        if wanted.is_empty() || self.told_to_end() {
            return;
        }
        let name = wanted.join(", ");
        eprintln!("measuring {name} …");
        if let Err(error) = measure(self.report) {
            self.failures.push(error.context(format!("{name} could not be measured")));
        }
    }

    /// Returns whether the run was told to end and a part has failed. If no part has failed yet,
    /// the next part itself checks whether to end.
    fn told_to_end(&self) -> bool {
        interrupt::pending() && !self.failures.is_empty()
    }
}
