//! Streams that a node keeps open: live answers, hit notices, witnessing.

use std::time::Instant;

use hitmachine_testkit::process::BrokerProcess;
use hitmachine_testkit::proxy::Accepting;

use super::*;

/// By when a node has given up a connection on which it hears nothing, on a slow machine too.
const GIVEN_UP: Duration = Duration::from_secs(15);

/// The log entries, from 0, that the told partner has notices of.
fn places(world: &World) -> Vec<u64> {
    let said = world.node(TOLD, &["notice", "list", "--all"]);
    assert_eq!(said.code, 0, "{said:?}");
    let notices = said.json()["notices"].as_array().unwrap().clone();
    let places = notices.iter().map(|one| one["log_index"].as_u64().unwrap());
    places.collect()
}

fn entry(said: &Said) -> u64 {
    assert_eq!(said.code, 0, "{said:?}");
    said.json()["persons"][0]["log_index"].as_u64().unwrap()
}

fn acknowledged(broker: &BrokerProcess) -> u64 {
    metric(broker, "hitmachine_notices_acknowledged")
}

fn answering(broker: &BrokerProcess) -> bool {
    metric(broker, "hitmachine_live_connected{") == 1
}

#[test]
fn a_connection_that_was_forgotten_is_noticed_by_both_sides_and_opened_again() {
    let world = World::live(911, &[OM]);
    let broker = world.broker();
    world.sync_all();
    let (of_om, of_told, of_asker) = (proxy(&world, 911), proxy(&world, 912), proxy(&world, 913));
    let known = world.adults(Register::OmReclassering, true);
    let told = world.adults(Register::Regieteams, true);
    let om = world.serve_through(OM, of_om.address());
    let regieteams = world.serve_through(TOLD, of_told.address());
    let live = || ask(&world, &of_asker, known[0]).status_of(OM);
    until("it answers live", || live() == "known");
    let first = entry(&ask(&world, &of_asker, told[0]));
    until("the first notice", || places(&world).contains(&first));
    until("it is acknowledged", || acknowledged(&broker) > 0);

    // Neither side hears anything: a question meanwhile could not be asked.
    for how in [Mischief::Forget, Mischief::ForgetOneWay] {
        let made = (of_om.made(), of_told.made());
        of_om.end_all(how);
        of_told.end_all(how);
        assert_eq!(live(), "could_not_ask", "{how:?}");
        let meanwhile = entry(&ask(&world, &of_asker, told[1]));
        until("the node has noticed, and answers again", || {
            let said = live();
            assert_ne!(said, "not_known");
            said == "known"
        });
        until("the notice comes", || places(&world).contains(&meanwhile));
        assert!(of_om.made() > made.0 && of_told.made() > made.1, "{how:?}");
    }

    // The node cannot come back: the hub notices by itself that it has gone.
    let gone = Faults {
        accepting: Accepting::Refuse,
        ..Faults::default()
    };
    for proxy in [&of_om, &of_told] {
        proxy.set(gone);
        proxy.end_all(Mischief::Forget);
    }
    until("the hub has noticed", || !answering(&broker));
    assert_eq!(live(), "could_not_ask");
    of_om.heal();
    of_told.heal();
    until("it is back", || live() == "known");
    drop((om, regieteams));
    assert_eq!(broker.stop().unwrap(), Some(0));
}

#[test]
fn a_notice_comes_once_although_its_acknowledgement_is_lost() {
    let world = World::new(914);
    let broker = world.broker();
    world.sync_all();
    let (of_told, of_asker) = (proxy(&world, 914), proxy(&world, 915));
    let told = world.adults(Register::Regieteams, true);
    let serving = world.serve_through(TOLD, of_told.address());
    let mut asked = vec![entry(&ask(&world, &of_asker, told[0]))];
    until("it follows", || places(&world) == asked);
    until("it is acknowledged", || acknowledged(&broker) == 1);
    let mut lost = 0;
    for (times, person) in (1..=3).zip(&told[1..]) {
        // What comes is stored; what goes is lost, and then the connection.
        of_told.set(Faults::one_way(Direction::ToServer));
        asked.push(entry(&ask(&world, &of_asker, person)));
        // The node gives the connection up when it hears nothing; on a slow machine that may be before the notice.
        let begun = Instant::now();
        while places(&world) != asked && begun.elapsed() < GIVEN_UP {
            std::thread::sleep(Duration::from_millis(20));
        }
        if places(&world) == asked {
            assert_eq!(acknowledged(&broker), times, "none came through");
            lost += 1;
        }
        of_told.end_all(if times == 2 {
            Mischief::Reset
        } else {
            Mischief::Forget
        });
        of_told.heal();
        until("acknowledged after all", || acknowledged(&broker) == times + 1);
        assert_eq!(places(&world), asked, "once");
    }
    assert!(lost > 0, "each time the node had given up before the notice came");
    drop(serving);
    assert_eq!(broker.stop().unwrap(), Some(0));
}
