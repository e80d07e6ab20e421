//! A hub that cannot be reached, or dies.

use super::*;

#[test]
fn a_hub_that_cannot_be_reached_is_never_not_known() {
    let world = World::new(201);
    let bsn = world.bsn(AgeClass::Adult);
    let list = short_list(&world, 6);

    assert_eq!(
        world.node("regieteams", &["sync"]).failure(),
        (3, "connection_refused".into())
    );
    let ask = |address| run::query(&world.deployment, "veiligheidshuis", address, bsn, &[]);
    assert_eq!(ask(world.address).failure(), (3, "connection_refused".into()));
    let status = world.node("regieteams", &["status"]);
    assert_eq!(status.code, 3);
    let status = status.json();
    assert!(
        status["hub"].as_str().unwrap().contains("nothing listens there"),
        "{status}"
    );
    assert_eq!(
        (&status["persons"], &status["synchronised_at"]),
        (&json!(0), &Value::Null)
    );

    // Something else listens there: it says nothing, or not this protocol.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    assert_eq!(
        ask(silent.local_addr().unwrap()).failure(),
        (3, "unreachable".into())
    );
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = web.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in web.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    assert_eq!(ask(at).failure(), (3, "protocol".into()));

    let said = world.screen(&list);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(!said.out.contains("\"not_known\""), "{}", said.out);
    let report = said.json();
    let totals = &report["totals"];
    let count = persons(&report).count();
    assert!(count >= 6);
    assert_eq!(
        (&totals["persons"], &totals["not_asked"]),
        (&json!(count), &json!(count))
    );
    assert_eq!(
        (&totals["answered"], &totals["households_not_known"]),
        (&json!(0), &json!(0))
    );
    for person in persons(&report) {
        assert_eq!(person["not_asked"]["code"], "connection_refused");
        assert!(person.get("answer").is_none());
    }
    assert_holds_none(&(said.out.clone() + &said.err), &[bsn.as_bytes()]);
}

/// Passes bytes between node and broker, and kills the broker when so many have come from it.
struct Fuse {
    address: SocketAddr,
    blown: Arc<AtomicBool>,
}

impl Fuse {
    fn new(to: SocketAddr, broker: u32, most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (blown, passed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let own = Arc::clone(&blown);
        std::thread::spawn(move || {
            // The port closes with the loop: as at a broker that is gone.
            while !own.load(Ordering::SeqCst) {
                let Ok((node, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                node.set_nonblocking(false).unwrap();
                let hub = TcpStream::connect(to).unwrap();
                let (mut from, mut into) = (node.try_clone().unwrap(), hub.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut into));
                let (blown, passed) = (Arc::clone(&own), Arc::clone(&passed));
                std::thread::spawn(move || pass(hub, node, broker, most, &passed, &blown));
            }
        });
        Self { address, blown }
    }
}

fn pass(
    mut hub: TcpStream,
    mut node: TcpStream,
    broker: u32,
    most: u64,
    passed: &AtomicU64,
    blown: &AtomicBool,
) {
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = hub.read(&mut buffer) {
        if passed.fetch_add(count as u64, Ordering::SeqCst) + count as u64 > most {
            blown.store(true, Ordering::SeqCst);
            let killed = Command::new("kill")
                .args(["-KILL", &broker.to_string()])
                .status()
                .unwrap();
            assert!(killed.success());
            let _ = node.shutdown(std::net::Shutdown::Both);
            return;
        }
        if node.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

#[test]
fn a_broker_that_dies_during_a_screening_leaves_no_doubt_about_who_was_asked() {
    let mut world = World::new(202);
    let broker = world.broker();
    world.sync_all();
    let list = short_list(&world, 40);
    let fuse = Fuse::new(world.address, broker.id(), 30_000);
    world.address = fuse.address;
    let said = world.screen(&list);
    assert!(fuse.blown.load(Ordering::SeqCst), "the broker lived");
    assert_eq!(said.code, 3, "{}", said.err);
    broker.kill().unwrap();

    let report = said.json();
    let count = persons(&report).count();
    let answered = check_answers(&world, &report);
    assert!(
        answered > 0 && answered < count,
        "{answered} of {count}: killed at the wrong time"
    );
    let totals = &report["totals"];
    assert_eq!(
        (&totals["answered"], &totals["not_asked"]),
        (&json!(answered), &json!(count - answered))
    );
    for person in persons(&report).filter(|person| person.get("answer").is_none()) {
        let failure = &person["not_asked"];
        assert_eq!(failure["exit"], 3, "{failure}");
    }
    // Whoever was answered is in the log; a household with somebody who was not asked counts as unknown to nobody.
    let logged: BTreeSet<_> = logbook::read(&world.deployment)
        .iter()
        .map(|entry| entry.index)
        .collect();
    for answer in persons(&report).filter_map(|person| person.get("answer")) {
        assert!(logged.contains(&answer["log_index"].as_u64().unwrap()));
    }
    let whole = report["households"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|household| {
            let persons = household["persons"].as_array().unwrap();
            persons.iter().all(|person| {
                let rows = person["answer"]["partners"].as_array();
                rows.is_some_and(|rows| rows.iter().all(|row| row["status"] != "known"))
            })
        });
    assert_eq!(totals["households_not_known"], json!(whole.count()));
}

/// The hub comes back with another covenant: the node is refused once, fetches it and asks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_covenant_is_fetched_and_the_question_asked_again() {
    let world = World::new(64);
    let broker = world.broker();
    let node = hitmachine_tests::node(&world.deployment, "veiligheidshuis", world.address).await;
    let question = hitmachine_tests::screening(&node, world.bsn(AgeClass::Adult), "1980-01-01");
    node.inquirer().ask(&question).await.unwrap();
    broker.stop().unwrap();
    replace(&world.deployment.covenant(), "version = 1", "version = 2");

    let broker = world.broker();
    let answer = node.inquirer().ask(&question).await.unwrap();
    assert_eq!(
        answer.persons[0].log_index, 3,
        "the change and the refusal are in the log as well"
    );
    let entries = world.stop(broker, &[]);
    let refusals: Vec<_> = entries.iter().map(logbook::Entry::refusal).collect();
    assert_eq!(refusals, [None, Some("covenant_changed".into()), None]);
}
