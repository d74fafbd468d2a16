//! Events in random order: every call ends once, and every counter is right.

use super::*;
use crate::steps::{cases, cases_with_leases};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

proptest! {
    #[test]
    fn every_call_ends_once_and_max_is_hard(case in cases()) {
        case.live()?;
    }
}

/// Cases of this seed reach every rare event, so that the scheduler's response to it is tested.
#[test]
fn slots_are_lent_and_asked_for_by_threads_and_event_loops() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[16; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let (mut threads, mut loops) = (Reached::default(), Reached::default());
    for _ in 0..300 {
        let case = cases_with_leases().new_tree(&mut runner).expect("a case").current();
        let world = case.live().expect("all holds");
        threads.add(world.threads);
        loops.add(world.loops);
    }
    for reached in [threads, loops] {
        assert!(reached.called > 100, "{reached:?}");
        assert!(reached.lent > 20 && reached.lease_lent > 0, "{reached:?}");
        assert!(reached.asked > 20 && reached.asked_in_vain > 10, "{reached:?}");
        assert!(reached.resumed > 20 && reached.given_up > 5, "{reached:?}");
    }
    assert!(loops.several > 10 && loops.mixed > 10, "{loops:?}");
}
