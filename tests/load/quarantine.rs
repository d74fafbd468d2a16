//! Tests that an input that kills its process is refused after several deaths, while other calls
//! are still answered.

use harness::metrics::check_with_promtool;
use harness::workers::c;
use harness::{Engine, Load, Response, Setup, process, wait_until};
use nix::sys::signal::Signal;

const QUARANTINE: &str = "quarantine_after = 3\nworkers = { min = 4 }";
const DEATHS: u64 = 3;

/// Waits until a process is ready after this number of deaths.
fn wait_for_process(engine: &Engine, deaths: u64) {
    wait_until("a process to be ready", || {
        let function = engine.function("Delicate");
        assert!(function.restarts <= deaths, "{function:?}");
        function.restarts == deaths && function.unavailable.is_none() && function.workers > 0
    });
}

/// Sends the input that kills its process until the engine refuses it. Checks the number of deaths,
/// and returns the refusal.
fn poison_until_refused(engine: &Engine) -> Response {
    let mut deaths = 0;
    loop {
        wait_for_process(engine, deaths);
        let response = engine.call("Delicate", "poison");
        match response.problem().error.as_str() {
            "CONTAINER_DIED" => deaths += 1,
            _ => {
                assert_eq!(deaths, DEATHS, "{}", response.text());
                return response;
            }
        }
        assert!(deaths <= DEATHS, "{deaths} deaths, and it is not refused");
    }
}

#[test]
fn an_input_that_kills_is_refused_after_three_deaths_and_that_is_seen() {
    let engine = Setup::new().admin().function("Delicate", &c(), QUARANTINE).start();
    let refused = poison_until_refused(&engine);
    let problem = refused.problem();
    assert_eq!((refused.status, problem.error.as_str()), (500, "FUNCTION_FAILED"));
    assert!(
        problem.detail.contains("under way at 3 deaths of processes of Delicate"),
        "{}",
        problem.detail
    );
    assert_eq!(refused.header("retry-after"), None, "nobody is to try it again soon");
    for _ in 0..20 {
        assert_eq!(engine.call("Delicate", "poison").status, 500);
    }
    // With another header, the input counts as the same. With another query, it counts as new.
    let mut client = engine.connect();
    let sent =
        |path: &str| client.request("POST", path, &[("x-request-id", "7")], b"poison").status;
    assert_eq!(["/function/Delicate", "/function/Delicate?again"].map(sent), [500, 502]);

    wait_for_process(&engine, DEATHS + 1);
    assert_eq!(engine.text("Delicate", "1"), "slept 1");
    let function = engine.function("Delicate");
    assert_eq!(function.restarts, DEATHS + 1);
    let [input] = &function.quarantined[..] else { panic!("{function:?}") };
    assert_eq!(
        (u64::from(input.deaths), input.refused, function.quarantine_refused),
        (DEATHS, 22, 22)
    );
    assert!((500.0..=600.0).contains(&input.left_s), "{input:?}");
    let ps = engine.nightcore("ps", &[]).text();
    assert!(
        ps.contains("Delicate: inputs in quarantine: 1, calls refused: 22; the last input"),
        "{ps}"
    );
    assert!(ps.contains(&input.input), "{ps}");
    let page = engine.metrics_page();
    check_with_promtool(&page);
    let metrics = engine.metrics();
    let of = |metric: &str| metrics.value(&format!("nightcore_{metric}{{function=\"Delicate\"}}"));
    assert_eq!((of("quarantined_inputs"), of("quarantine_refused_calls_total")), (1.0, 22.0));
    let said =
        format!("Delicate: the input {} was under way at 3 deaths of its processes", input.input);
    assert_eq!(engine.stderr().matches(&said).count(), 1, "{}", engine.stderr());
    engine.stop();
}

#[test]
fn a_call_that_a_function_makes_is_refused_as_well() {
    let engine =
        Setup::new().function("Delicate", &c(), QUARANTINE).functions(&["TryCall"], &c()).start();
    let mut deaths = 0;
    let told = loop {
        wait_for_process(&engine, deaths);
        let told = engine.text("TryCall", "Delicate\npoison");
        match told.split_once('\n') {
            Some(("CONTAINER_DIED", _)) => deaths += 1,
            _ => break told,
        }
        assert!(deaths <= DEATHS, "{deaths} deaths, and it is not refused");
    };
    assert!(told.starts_with("FUNCTION_FAILED\nthis input was under way at 3 deaths"), "{told}");
    assert_eq!((deaths, engine.function("Delicate").quarantine_refused), (DEATHS, 1));
    engine.stop();
}

#[test]
fn innocents_beside_it_are_answered() {
    let engine = Setup::new().function("Delicate", &c(), QUARANTINE).start();
    let loads =
        ["3", "5", "8"].map(|ms| Load::start(engine.address(), 3, "Delicate", ms.as_bytes()));
    let ended = || loads.iter().map(Load::ended).collect::<Vec<_>>();
    wait_until("calls to be answered", || ended().iter().all(|ended| *ended > 10));
    poison_until_refused(&engine);
    wait_for_process(&engine, DEATHS);
    let healthy = std::time::Instant::now();
    let before = ended();
    wait_until("all of them to be answered on", || {
        assert_eq!(engine.call("Delicate", "poison").status, 500);
        ended().iter().zip(&before).all(|(ended, before)| *ended > before + 20)
    });
    for outcome in loads.into_iter().flat_map(Load::stop) {
        let died = matches!(outcome.status, Some(502 | 503)) && outcome.began < healthy;
        assert!(outcome.status == Some(200) || died, "{outcome:?}");
    }
    let function = engine.function("Delicate");
    assert_eq!((function.restarts, function.quarantined.len()), (DEATHS, 1));
    engine.stop();
}

#[test]
fn calls_that_come_at_once_with_it_cost_no_more_deaths() {
    let engine = Setup::new().function("Delicate", &c(), QUARANTINE).start();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = engine.connect();
            client.send("POST", "/function/Delicate", &[], b"poison").unwrap();
            client
        })
        .collect();
    let mut statuses: Vec<u16> =
        clients.into_iter().map(|mut client| client.receive().unwrap().status).collect();
    statuses.sort_unstable();
    // Some calls were under way at each death. The function may have become unavailable in the
    // meantime, and then the engine ended the queued calls.
    assert!(statuses.iter().all(|status| [500, 502, 503].contains(status)), "{statuses:?}");
    while engine.function("Delicate").quarantined.is_empty() {
        wait_for_process(&engine, engine.function("Delicate").restarts.min(DEATHS));
        engine.call("Delicate", "poison");
    }
    wait_for_process(&engine, DEATHS);
    assert_eq!(engine.text("Delicate", "1"), "slept 1");
    engine.stop();
}

#[test]
fn a_reload_with_other_code_gives_it_another_chance() {
    let home = Setup::new().function("Delicate", &c(), QUARANTINE).home();
    let engine = home.start();
    poison_until_refused(&engine);
    wait_for_process(&engine, DEATHS);
    assert_eq!(engine.nightcore("reload", &[]).code, Some(0));
    assert_eq!(engine.call("Delicate", "poison").status, 500, "nothing has changed");
    assert_eq!(engine.nightcore("reload", &["Delicate"]).code, Some(0));
    assert!(engine.function("Delicate").quarantined.is_empty());
    assert_eq!(engine.call("Delicate", "poison").status, 502);
    engine.stop();
}

#[test]
fn without_a_quarantine_it_goes_on_dying() {
    let engine = Setup::new().function("Delicate", &c(), "").start();
    for deaths in 0..DEATHS + 2 {
        wait_for_process(&engine, deaths);
        assert_eq!(engine.call("Delicate", "poison").status, 502);
    }
    wait_for_process(&engine, DEATHS + 2);
    let function = engine.function("Delicate");
    assert_eq!((function.quarantined.len(), function.quarantine_refused), (0, 0));
    engine.stop();
}

#[test]
fn an_input_that_was_under_way_when_the_launcher_was_killed_is_not_to_blame() {
    let setup = Setup::new().function("Delicate", &c(), "quarantine_after = 1");
    let engine = setup.start();
    let mut client = engine.connect();
    client.send("POST", "/function/Delicate", &[], b"60000").unwrap();
    wait_until("the call to run", || engine.function("Delicate").running == 1);
    process::signal(engine.launcher(), Signal::SIGKILL);
    assert_eq!(client.receive().unwrap().status, 502);
    assert_eq!(engine.text("Delicate", "1"), "slept 1");
    let function = engine.function("Delicate");
    assert!(function.quarantined.is_empty(), "{function:?}");
    engine.stop();
}
