use super::*;

const READ: Step = Step::Read;
const NOTHING: Step = Step::Nothing;

fn start(because: &str) -> Step {
    Step::Start { because: Some(because.into()) }
}

/// Handles sources that were read while no other build ran.
fn sources_read(build: &mut BuildProgress, sources: &[(&str, u64)]) -> (Step, Vec<PathBuf>) {
    let NextStep { step, ignored, .. } = build.sources_read(Sources::of(sources), false);
    (step, ignored)
}

/// Returns a build that has run once, with these sources before and after it.
fn built(sources: &[(&str, u64)]) -> BuildProgress {
    let mut build = BuildProgress::new();
    assert_eq!(build.wanted(false), READ);
    assert!(matches!(sources_read(&mut build, sources).0, Step::Start { .. }));
    build.started(1);
    assert!(build.ended());
    assert_eq!(sources_read(&mut build, sources), (NOTHING, vec![]));
    build
}

/// Runs a build that a step has requested, after which these are the sources.
#[track_caller]
fn run(build: &mut BuildProgress, sources: &[(&str, u64)]) -> (Step, Vec<PathBuf>) {
    build.started(7);
    assert_eq!(build.changed(), NOTHING, "one build at a time");
    assert!(build.ended());
    sources_read(build, sources)
}

#[test]
fn the_first_build_runs_whatever_the_sources_are() {
    let mut build = BuildProgress::new();
    assert_eq!((build.wanted(false), build.wanted(false)), (READ, NOTHING));
    assert_eq!(sources_read(&mut build, &[("a", 1)]).0, Step::Start { because: None });
    build.started(1);
    // Another function with the same build does not start it again.
    assert_eq!(build.wanted(false), NOTHING);
    assert!(build.runs_as(1) && !build.runs_as(2));
    assert!(build.ended());
    assert_eq!(sources_read(&mut build, &[("a", 1)]), (NOTHING, vec![]));
}

#[test]
fn a_build_follows_a_change_of_content_only() {
    let mut build = built(&[("a", 1)]);
    assert_eq!(build.changed(), READ);
    assert_eq!(sources_read(&mut build, &[("a", 1)]).0, NOTHING);
    assert_eq!(build.changed(), READ);
    assert_eq!(sources_read(&mut build, &[("a", 2)]).0, start("a"));
}

#[test]
fn a_change_while_sources_are_read_has_them_read_again() {
    let mut build = built(&[("a", 1)]);
    assert_eq!((build.changed(), build.changed()), (READ, NOTHING));
    assert_eq!(sources_read(&mut build, &[("a", 1)]).0, READ);
    assert_eq!(sources_read(&mut build, &[("a", 2)]).0, start("a"));
}

#[test]
fn a_failed_build_waits_for_a_change() {
    let mut build = built(&[("a", 1)]);
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 2)]).0, start("a"));
    assert_eq!(run(&mut build, &[("a", 2)]).0, NOTHING);
    // The event comes late.
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 2)]).0, NOTHING);
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 3)]).0, start("a"));
}

#[test]
fn a_change_during_a_build_causes_one_more() {
    let mut build = built(&[("a", 1)]);
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 2)]).0, start("a"));
    assert_eq!(run(&mut build, &[("a", 3)]).0, start("a"));
    assert_eq!(run(&mut build, &[("a", 3)]).0, NOTHING);
}

#[test]
fn generated_sources_cause_one_more_build_if_they_differ() {
    let mut build = built(&[("a", 1)]);
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 2)]).0, start("a"));
    let generated = [("a", 2), ("generated", 2)];
    assert_eq!(run(&mut build, &generated).0, start("generated"));
    assert_eq!(run(&mut build, &generated).0, NOTHING);
}

#[test]
fn sources_that_each_build_generates_differently_cause_no_endless_builds() {
    let mut build = built(&[("a", 1), ("time", 1)]);
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 2), ("time", 1)]).0, start("a"));
    for time in 2..=u64::from(MAX_CHANGED) {
        let after = [("a", 2), ("time", time)];
        assert_eq!(run(&mut build, &after), (start("time"), vec![]));
    }
    let told = (NOTHING, vec!["time".into()]);
    assert_eq!(run(&mut build, &[("a", 2), ("time", 100)]), told);
    // From now on one build is enough, and the file is not reported again.
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 3), ("time", 100)]).0, start("a"));
    assert_eq!(run(&mut build, &[("a", 3), ("time", 101)]), (NOTHING, vec![]));
    // A person changes the file, so it counts again.
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 3), ("time", 102)]).0, start("time"));
    assert_eq!(run(&mut build, &[("a", 3), ("time", 103)]).0, start("time"));
    assert_eq!(run(&mut build, &[("a", 3), ("time", 103)]).0, NOTHING);
}

#[test]
fn sources_with_a_new_name_each_time_cause_no_endless_builds() {
    let mut build = built(&[("a", 1)]);
    for save in 2..9 {
        build.changed();
        assert_eq!(sources_read(&mut build, &[("a", save)]).0, start("a"));
        let names: Vec<_> = (1..=MAX_IN_ROW).map(|number| format!("b{number}")).collect();
        for (at, name) in names.iter().enumerate() {
            let is_last = at + 1 == names.len();
            let then = if is_last { (NOTHING, vec![name.into()]) } else { (start(name), vec![]) };
            let all = names[..=at].iter().map(|name| (name.as_str(), 0));
            let found: Vec<_> = std::iter::once(("a", save)).chain(all).collect();
            assert_eq!(run(&mut build, &found), then);
        }
        // A person removes the files.
        build.changed();
        assert_eq!(sources_read(&mut build, &[("a", save)]).0, start(&names[0]));
        assert_eq!(run(&mut build, &[("a", save)]), (NOTHING, vec![]));
    }
}

#[test]
fn a_person_whose_file_was_taken_for_the_builds_own_asks_for_it_once() {
    let mut build = built(&[("a", 0)]);
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 1)]).0, start("a"));
    assert_eq!(run(&mut build, &[("a", 2)]).0, start("a"));
    assert_eq!(run(&mut build, &[("a", 3)]).0, start("a"));
    assert_eq!(run(&mut build, &[("a", 4)]), (NOTHING, vec!["a".into()]));
    assert_eq!(build.wanted(true), READ);
    assert_eq!(sources_read(&mut build, &[("a", 4)]).0, Step::Start { because: None });
    assert_eq!(run(&mut build, &[("a", 5)]).0, start("a"));
}

#[test]
fn a_restart_replaces_a_build_that_hangs() {
    let mut build = built(&[]);
    assert_eq!(build.wanted(true), READ);
    sources_read(&mut build, &[]);
    build.started(2);
    assert_eq!((build.wanted(true), build.wanted(true)), (Step::Stop { launch: 2 }, NOTHING));
    assert!(!build.ended(), "its end is no news");
    assert_eq!(sources_read(&mut build, &[]).0, Step::Start { because: None });
    build.started(3);
    assert!(build.ended());
}

#[test]
fn sources_that_nobody_has_asked_for_change_nothing() {
    let mut build = built(&[("a", 1)]);
    assert_eq!(sources_read(&mut build, &[("a", 2)]).0, NOTHING);
    build.changed();
    sources_read(&mut build, &[("a", 3)]);
    build.started(4);
    assert_eq!(sources_read(&mut build, &[("a", 5)]).0, NOTHING);
    assert_eq!(build.launch(), Some(4));
}

/// Two builds that share a folder. Each run of a build writes its files with different content.
struct OverlappingBuilds {
    builds: [BuildProgress; 2],
    /// The names of the files that each build writes.
    writes: [&'static [&'static str]; 2],
    files: Vec<(&'static str, u64)>,
    time: u64,
}

impl OverlappingBuilds {
    fn new(writes: [&'static [&'static str]; 2]) -> OverlappingBuilds {
        let files = vec![("source", 1), ("one", 0), ("two", 0)];
        let builds = [built(&files), built(&files)];
        OverlappingBuilds { builds, writes, files, time: 1 }
    }

    fn write(&mut self, name: &str) {
        self.time += 1;
        self.files.iter_mut().find(|file| file.0 == name).unwrap().1 = self.time;
    }

    /// Saves a file as a person does. Returns how often each build then runs, in turns.
    fn save(&mut self, name: &str) -> [u32; 2] {
        self.write(name);
        let mut runs = [0, 0];
        let mut is_first = true;
        loop {
            let before = runs;
            for at in [0, 1] {
                let [first, second] = &mut self.builds;
                let (own, other) = if at == 0 { (first, second) } else { (second, first) };
                own.changed();
                let mut step = own.sources_read(Sources::of(&self.files), false);
                assert_eq!(step.is_by_person, is_first, "{step:?}");
                if is_first {
                    other.touched();
                }
                is_first = false;
                while let Step::Start { .. } = step.step {
                    runs[at] += 1;
                    assert!(runs[at] < 50, "without end");
                    self.builds[at].started(1);
                    self.writes[at].iter().for_each(|name| self.write(name));
                    assert!(self.builds[at].ended());
                    self.builds[1 - at].disturbed();
                    step = self.builds[at].sources_read(Sources::of(&self.files), false);
                }
                assert_eq!(step.step, NOTHING);
            }
            if runs == before {
                return runs;
            }
        }
    }
}

#[test]
fn builds_that_write_the_same_source_do_not_cause_each_other_without_end() {
    let mut shared = OverlappingBuilds::new([&["one"], &["one"]]);
    shared.save("source");
    assert_eq!(shared.save("source"), [1, 1]);
    assert_eq!(shared.save("source"), [1, 1]);
}

#[test]
fn builds_that_write_sources_of_each_other_do_not_cause_each_other_without_end() {
    let mut shared = OverlappingBuilds::new([&["one"], &["two"]]);
    for _ in 0..5 {
        let [first, second] = shared.save("source");
        assert!(first <= MAX_IN_ROW && second <= MAX_IN_ROW, "{first}, {second}");
    }
}

#[test]
fn a_build_follows_what_another_one_generates_each_time() {
    let mut shared = OverlappingBuilds::new([&["one"], &[]]);
    shared.save("source");
    for _ in 0..2 * MAX_CHANGED {
        assert_eq!(shared.save("source")[1], 1);
    }
}

#[test]
fn a_change_while_another_build_runs_is_built() {
    let mut build = built(&[("a", 1)]);
    build.changed();
    let found = build.sources_read(Sources::of(&[("a", 2)]), true);
    assert_eq!((found.step, found.is_by_person), (start("a"), false));
}

#[test]
fn sources_that_change_all_the_time_are_built_all_the_same() {
    let mut build = BuildProgress::new();
    build.wanted(false);
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 1)]).0, Step::Start { because: None });
    build.started(1);
    assert!(build.ended());
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 2)]).0, start("a"));
    // Two changes during one reading cause one more reading, and then the build.
    assert_eq!(run(&mut build, &[("a", 2)]).0, NOTHING);
    assert_eq!((build.changed(), build.changed()), (READ, NOTHING));
    assert_eq!(sources_read(&mut build, &[("a", 3)]).0, start("a"));
}

#[test]
fn a_build_that_is_lost_with_the_launcher_runs_again() {
    let mut build = built(&[("a", 1)]);
    build.changed();
    assert_eq!(sources_read(&mut build, &[("a", 2)]).0, start("a"));
    build.started(2);
    build.lost();
    assert_eq!(sources_read(&mut build, &[("a", 2)]).0, Step::Start { because: None });
}
