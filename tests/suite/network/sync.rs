//! A register on its way.

use super::*;

/// Enough for several batches.
const PERSONS: usize = 8_000;
/// Bytes a second: the uplink of a small office.
const SLOW: u64 = 60_000;
/// Slow enough for batches to come one by one.
const FAST: u64 = 1_000_000;
/// Bytes of a batch, about.
const BATCH: u64 = 50_000;

fn synchronise(world: &World, proxy: &Proxy, more: &[&str]) -> Said {
    let arguments = [&["sync"], more].concat();
    program::node(&world.deployment, TOLD, proxy.address(), &arguments)
}

#[test]
fn a_sync_that_is_cut_goes_on_and_both_sides_agree() {
    let world = World::of_size(921, PERSONS);
    let members = world.members(Register::Regieteams);
    let broker = world.broker();
    let proxy = proxy(&world, 921);
    // Cut at several places, with batches acknowledged and not.
    proxy.set(Faults::slow(FAST));
    let mut cut = 0;
    for (at, how) in [
        (150_000, Mischief::Reset),
        (70_000, Mischief::Close),
        (70_000, Mischief::Corrupt),
    ] {
        proxy.plan(Direction::ToServer, at, how);
        let said = synchronise(&world, &proxy, &[]);
        cut += 1;
        assert_eq!(proxy.happened(), cut, "{how:?}: it was not cut");
        assert_eq!(said.code, 3, "{how:?}: {said:?}");
    }
    let before = proxy.passed(Direction::ToServer);
    let said = synchronise(&world, &proxy, &[]);
    let rest = proxy.passed(Direction::ToServer) - before;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["persons"], members, "{said:?}");
    assert_eq!(said.json()["full"], false, "it went on from where it was");
    assert_eq!(metric(&broker, "hitmachine_persons"), members as u64);
    // All of it, for comparison; the last of its acknowledgements are lost.
    let (up, down) = (
        proxy.passed(Direction::ToServer),
        proxy.passed(Direction::ToClient),
    );
    let said = synchronise(&world, &proxy, &["--full"]);
    assert_eq!(
        (said.code, &said.json()["persons"]),
        (0, &members.into()),
        "{said:?}"
    );
    let whole = proxy.passed(Direction::ToServer) - up;
    assert!(rest + BATCH < whole, "{rest} of {whole} bytes were sent again");
    let bytes = proxy.passed(Direction::ToClient) - down;
    proxy.plan(Direction::ToClient, bytes - 100, Mischief::Reset);
    assert_eq!(synchronise(&world, &proxy, &["--full"]).code, 3);
    let said = synchronise(&world, &proxy, &[]);
    assert_eq!(
        (said.code, &said.json()["persons"]),
        (0, &members.into()),
        "{said:?}"
    );
    for person in world.adults(Register::Regieteams, true).into_iter().take(3) {
        assert_eq!(ask(&world, &proxy, person).status_of(TOLD), "known");
    }
    assert_eq!(broker.stop().unwrap(), Some(0));
}

/// Signs of life wait behind what was sent before them. On a slow line that is no silence.
#[test]
fn a_slow_line_is_not_taken_for_a_dead_one() {
    let world = World::of_size(922, PERSONS);
    let members = world.members(Register::Regieteams);
    let broker = world.broker();
    let proxy = proxy(&world, 922);
    proxy.set(Faults::slow(SLOW));
    let said = synchronise(&world, &proxy, &[]);
    assert_eq!(
        (said.code, &said.json()["persons"]),
        (0, &members.into()),
        "{said:?}"
    );
    assert_eq!(proxy.made(), 1, "on one connection");
    assert_eq!(broker.stop().unwrap(), Some(0));
}
