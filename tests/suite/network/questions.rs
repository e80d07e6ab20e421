//! Questions whose way is cut.

use hitmachine_tests::program::replace_after;

use super::*;

/// The answer is at the end of what comes, the question at the end of what goes. So many bytes before the end is
/// within.
const WITHIN: u64 = 400;

#[test]
fn a_question_that_is_cut_is_answered_and_stands_in_the_log_once() {
    let world = World::new(901);
    let broker = world.broker();
    world.sync_all();
    let proxy = proxy(&world, 901);
    let known = world.adults(Register::Regieteams, true);
    let mut asked = 0;
    let mut cut = 0;
    for direction in Direction::BOTH {
        for how in [
            Mischief::Reset,
            Mischief::Close,
            Mischief::HalfClose,
            Mischief::Corrupt,
            Mischief::Forget,
        ] {
            // Sizes change as the log grows; one that is not cut says what they are.
            let before = proxy.passed(direction);
            assert_eq!(
                ask(&world, &proxy, known[asked % known.len()]).status_of(TOLD),
                "known"
            );
            asked += 1;
            let bytes = proxy.passed(direction) - before;
            proxy.plan(direction, bytes - WITHIN, how);
            let said = ask(&world, &proxy, known[asked % known.len()]);
            assert_eq!(said.status_of(TOLD), "known", "{direction:?} {how:?}");
            asked += 1;
            cut += 1;
            assert_eq!(proxy.happened(), cut, "{direction:?} {how:?}: it was not cut");
        }
    }
    let numbers: Vec<&[u8]> = known.iter().map(|person| person.bsn.as_bytes()).collect();
    assert_eq!(lookups(&world.stop(broker, &numbers)), asked);
}

#[test]
fn a_question_without_an_answer_ends_at_its_deadline() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    // The covenant's, the question's, and that of the same question once more; and time for a busy machine.
    const DEADLINE: Duration = Duration::from_secs(3 * TIMEOUT.as_secs() + 6);
    let world = World::new(902);
    let config = world.deployment.node_config(COORDINATOR);
    let timeout = format!("timeout_seconds = {}\naddress", TIMEOUT.as_secs());
    replace_after(&config, "[broker]", "address", &timeout);
    let broker = world.broker();
    world.sync_all();
    let proxy = proxy(&world, 902);
    let known = world.adults(Register::Regieteams, true);
    let before = proxy.passed(Direction::ToClient);
    assert_eq!(ask(&world, &proxy, known[0]).status_of(TOLD), "known");
    let bytes = proxy.passed(Direction::ToClient) - before;

    let unanswered = |what: &str| {
        let begun = Instant::now();
        let said = ask(&world, &proxy, known[1]);
        assert_eq!(said.code, 3, "{what}: {said:?}");
        assert!(!said.out.contains("not_known"), "{what}: {said:?}");
        assert!(begun.elapsed() < DEADLINE, "{what}: {:?}", begun.elapsed());
        begun.elapsed()
    };
    proxy.set(Faults::partition());
    unanswered("nothing passes");
    proxy.heal();
    assert_eq!(ask(&world, &proxy, known[1]).status_of(TOLD), "known");
    for how in [Mischief::Forget, Mischief::ForgetOneWay] {
        proxy.plan(Direction::ToClient, bytes - WITHIN, how);
        let took = unanswered("the answer is lost");
        assert!(took >= TIMEOUT, "{how:?}: it was not waited for: {took:?}");
        assert_eq!(ask(&world, &proxy, known[1]).status_of(TOLD), "known");
    }
    for direction in Direction::BOTH {
        proxy.set(Faults::one_way(direction));
        unanswered("one way");
        proxy.heal();
        assert_eq!(ask(&world, &proxy, known[1]).status_of(TOLD), "known");
    }
    assert_eq!(broker.stop().unwrap(), Some(0));
}
