//! Two network namespaces and a cable between them: what the kernel's own TCP makes of loss and of a cable that is
//! pulled.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use hitmachine_testkit::process::{BrokerProcess, free_address, program};

use super::*;

/// Runs a program of the Debian package iproute2; what it printed if it fails.
fn iproute2(arguments: &[&str]) -> Result<(), String> {
    let (name, arguments) = arguments.split_first().unwrap();
    let output = Command::new(name).args(arguments).output();
    let output = output
        .unwrap_or_else(|error| panic!("this test needs `{name}` of the Debian package iproute2: {error}"));
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn must(arguments: &[&str]) {
    if let Err(printed) = iproute2(arguments) {
        panic!(
            "this test makes network namespaces, which needs root and CAP_NET_ADMIN: {arguments:?}: {printed}"
        );
    }
}

/// A namespace of its own, and a cable to it. Both are gone when it is dropped.
struct Apart {
    namespace: String,
    cable: String,
    /// Of this side and of the other.
    addresses: [IpAddr; 2],
}

impl Apart {
    fn new() -> Self {
        // Tests that run side by side must not meet: a /30 of the range for such things (RFC 2544), by process.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address = |last: u8| IpAddr::from([198, 18 + (high & 1), low, (high & 0xfc) | last]);
        let made = Self {
            namespace: format!("hitmachine-{}", std::process::id()),
            cable: format!("hm{}", std::process::id()),
            addresses: [address(1), address(2)],
        };
        let (namespace, near) = (made.namespace.as_str(), made.cable.as_str());
        let far = format!("{near}f");
        let [own, other] = made.addresses.map(|address| format!("{address}/30"));
        must(&["ip", "netns", "add", namespace]);
        must(&[
            "ip", "link", "add", near, "type", "veth", "peer", "name", &far, "netns", namespace,
        ]);
        must(&["ip", "address", "add", &own, "dev", near]);
        must(&["ip", "-n", namespace, "address", "add", &other, "dev", &far]);
        must(&["ip", "-n", namespace, "link", "set", "lo", "up"]);
        must(&["ip", "-n", namespace, "link", "set", &far, "up"]);
        must(&["ip", "link", "set", near, "up"]);
        made
    }

    /// Pulls the cable, or plugs it in.
    fn plug(&self, state: &str) {
        must(&["ip", "link", "set", &self.cable, state]);
    }

    /// Makes the cable a bad one in both directions; how. Not every kernel can delay and reorder (`sch_netem`); a queue
    /// that is too short for a thin line loses packets on all.
    fn bad(&self) -> &'static str {
        let far = format!("{}f", self.cable);
        let both = |how: &[&str]| {
            let near = [&["tc", "qdisc", "replace", "dev", &self.cable, "root"], how].concat();
            let away = [
                &[
                    "tc",
                    "-n",
                    &self.namespace,
                    "qdisc",
                    "replace",
                    "dev",
                    &far,
                    "root",
                ],
                how,
            ]
            .concat();
            iproute2(&near).and_then(|()| iproute2(&away))
        };
        let netem = [
            "netem",
            "delay",
            "20ms",
            "15ms",
            "loss",
            "3%",
            "duplicate",
            "1%",
            "reorder",
            "25%",
            "50%",
        ];
        if both(&netem).is_ok() {
            return "delay, loss, duplicates and reordering (netem)";
        }
        let thin = ["tbf", "rate", "2mbit", "burst", "4kb", "limit", "12kb"];
        if let Err(printed) = both(&thin) {
            panic!("the kernel has neither netem nor tbf: {printed}");
        }
        "loss at a thin line with a short queue (tbf; this kernel has no netem)"
    }

    fn good(&self) {
        let far = format!("{}f", self.cable);
        must(&["tc", "qdisc", "delete", "dev", &self.cable, "root"]);
        must(&[
            "tc",
            "-n",
            &self.namespace,
            "qdisc",
            "delete",
            "dev",
            &far,
            "root",
        ]);
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // With it go the cable and its two ends.
        let _ = iproute2(&["ip", "netns", "delete", &self.namespace]);
    }
}

/// A broker in the namespace.
fn broker(world: &World, apart: &Apart) -> BrokerProcess {
    let mut command = Command::new("ip");
    let broker: PathBuf = program("hitmachine-broker").unwrap();
    command.args(["netns", "exec", &apart.namespace]).arg(broker);
    BrokerProcess::start_with(command, &world.deployment, world.address).unwrap()
}

#[test]
fn a_bad_cable_and_a_pulled_one() {
    let apart = Apart::new();
    let mut world = World::live(941, &[OM]);
    let port = free_address().unwrap().port();
    world.address = SocketAddr::new(apart.addresses[1], port);
    let broker = broker(&world, &apart);
    let how = apart.bad();
    println!("{how}");
    // Registers and questions get through.
    until("the hub answers", || world.node(TOLD, &["sync"]).code == 0);
    world.sync_all();
    let om = world.serve(OM);
    let told = world.serve(TOLD);
    let known = world.adults(Register::OmReclassering, true);
    let about =
        |person: &Person| program::query(&world.deployment, COORDINATOR, world.address, &person.bsn, &[]);
    let ask = || about(known[0]);
    until("it answers live", || ask().status_of(OM) == "known");
    for person in world.adults(Register::Regieteams, true).iter().take(10) {
        let said = about(person);
        assert_eq!(said.status_of(TOLD), "known");
        let knows = person.references.contains_key(&Register::OmReclassering);
        let wrong = if knows { "not_known" } else { "known" };
        assert_ne!(said.status_of(OM), wrong);
    }

    // Pulled: a question ends at its deadline, and afterwards all is as before.
    apart.good();
    apart.plug("down");
    let begun = Instant::now();
    let said = ask();
    assert_eq!(said.code, 3, "{said:?}");
    // The covenant's deadline, and time for a busy machine.
    assert!(
        begun.elapsed() < Duration::from_secs(10 + 8),
        "{:?}",
        begun.elapsed()
    );
    // Longer than both sides wait for a sign of life.
    std::thread::sleep(Duration::from_secs(8));
    apart.plug("up");
    until("everything is back", || {
        let said = ask();
        said.code == 0 && {
            let status = said.status_of(OM);
            assert_ne!(status, "not_known");
            status == "known"
        }
    });
    let connected = || world.node(TOLD, &["status"]).json()["notices_connected"] == true;
    until("notices, too", connected);
    drop((om, told));
    assert_eq!(broker.stop().unwrap(), Some(0));
}
