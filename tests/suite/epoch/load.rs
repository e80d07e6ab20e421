//! Questions without a pause, each compared with what the registers' files say.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hitmachine_node::control::{Ask, AskPerson, ClassWord, Client, NumberKind, Reply, Request};
use hitmachine_node::view::StatusWord;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_tests::program::until;
use hitmachine_tests::world::World;
use zeroize::Zeroizing;

/// What all threads see.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    stop: AtomicBool,
    /// Partners that may read "could not be asked" now.
    left_behind: Mutex<HashSet<String>>,
    /// How often a partner gave an answer since it was left behind.
    known_again: AtomicU64,
}

/// Askers, one for each node that serves.
pub(crate) struct Load {
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

/// Somebody to ask about, and where the person is in a register.
#[derive(Clone)]
struct Truth {
    bsn: String,
    class: ClassWord,
    known: HashMap<String, bool>,
}

fn truths(world: &World) -> Vec<Truth> {
    let members: HashMap<&str, HashSet<&str>> = Register::ALL
        .iter()
        .map(|register| {
            let persons = world.population.members(*register);
            (register.id(), persons.map(|person| person.bsn.as_str()).collect())
        })
        .collect();
    let persons = world.population.persons().iter();
    persons
        .map(|person| Truth {
            bsn: person.bsn.clone(),
            class: match person.class {
                AgeClass::Adult => ClassWord::Adult,
                AgeClass::Minor => ClassWord::Minor,
            },
            known: members
                .iter()
                .map(|(register, of)| ((*register).to_owned(), of.contains(person.bsn.as_str())))
                .collect(),
        })
        .collect()
}

impl Load {
    /// Starts to ask at these nodes.
    pub(crate) fn start(world: &World, partners: &[&'static str]) -> Self {
        let seen = Arc::new(Seen::default());
        let truths = truths(world);
        let threads = partners.iter().map(|partner| {
            let (seen, truths, partner) = (Arc::clone(&seen), truths.clone(), *partner);
            let socket = world.path("nodes").join(partner).join("state/node.sock");
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime
                    .unwrap()
                    .block_on(ask_on(&seen, &Client::Serving(socket), partner, &truths));
            })
        });
        Self {
            threads: threads.collect(),
            seen,
        }
    }

    fn answered(&self) -> u64 {
        self.seen.answered.load(Ordering::SeqCst)
    }

    /// Waits until more questions have been answered.
    pub(crate) fn some_answers(&self) {
        let from = self.answered();
        until("questions are answered", || {
            assert!(
                self.threads.iter().all(|thread| !thread.is_finished()),
                "an answer was wrong"
            );
            self.answered() > from + 20
        });
    }

    /// This partner may read "could not be asked" from now on.
    pub(crate) fn may_be_left_behind(&self, partner: &str) {
        self.seen.left_behind.lock().unwrap().insert(partner.to_owned());
    }

    /// Nobody may any more.
    pub(crate) fn nobody_is_left_behind(&self) {
        self.seen.left_behind.lock().unwrap().clear();
    }

    /// Waits until a partner that was left behind gives answers again, and goes on to.
    pub(crate) fn until_known_at(&self, partner: &str) {
        assert!(self.seen.left_behind.lock().unwrap().contains(partner));
        self.seen.known_again.store(0, Ordering::SeqCst);
        until("the partner that was left behind takes part", || {
            self.seen.known_again.load(Ordering::SeqCst) > 30
        });
    }

    /// Ends the asking; how many questions were answered, all of them rightly.
    pub(crate) fn stop(self) -> u64 {
        self.seen.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.seen.answered.load(Ordering::SeqCst)
    }
}

/// Waits until every asking node asks in this epoch.
pub(crate) fn until_asked_in(world: &World, epoch: u32) {
    for partner in [COORDINATOR, "leerplicht", "schuldhulpverlening"] {
        until("the nodes ask in the new epoch", || {
            world.node(partner, &["status"]).json()["key_epoch"] == epoch
        });
    }
}

async fn ask_on(seen: &Seen, client: &Client, partner: &str, truths: &[Truth]) {
    let (purpose, role) = match partner {
        COORDINATOR => ("screening", "informatiecoordinator"),
        _ => ("signalering", "professional"),
    };
    for truth in truths.iter().cycle() {
        if seen.stop.load(Ordering::SeqCst) {
            return;
        }
        // Read before the question: what was let go before it was asked may still be in its answer.
        let left_behind = seen.left_behind.lock().unwrap().clone();
        let ask = Ask {
            purpose: purpose.to_owned(),
            case: "ZK-2026-1".to_owned(),
            user: "tester".to_owned(),
            role: role.to_owned(),
            responsible: None,
            persons: vec![AskPerson {
                kind: NumberKind::Bsn,
                number: Zeroizing::new(truth.bsn.clone()),
                class: truth.class,
                age: hitmachine_node::source::AgeBracket::default(),
                reference: None,
            }],
        };
        let reply = client.call(Request::Ask(ask), Arc::new(|_| ())).await.unwrap();
        let Reply::Asked(answer) = reply else {
            panic!("a question of {partner} was not answered: {reply:?}");
        };
        assert!(answer.persons[0].refused.is_none(), "{partner}: {answer:?}");
        let now_left = seen.left_behind.lock().unwrap().clone();
        let mut all_answered = true;
        for row in &answer.persons[0].partners {
            let known = truth.known[&row.partner];
            match row.status {
                StatusWord::Known => assert!(known, "{} knows somebody it does not", row.partner),
                StatusWord::NotKnown => assert!(!known, "a false not known at {}", row.partner),
                StatusWord::DoesNotApply => {}
                StatusWord::CouldNotAsk => {
                    all_answered = false;
                    let may = left_behind.contains(&row.partner) || now_left.contains(&row.partner);
                    assert!(may, "{} could not be asked", row.partner);
                }
            }
        }
        if all_answered {
            seen.known_again.fetch_add(1, Ordering::SeqCst);
        } else {
            seen.known_again.store(0, Ordering::SeqCst);
        }
        seen.answered.fetch_add(1, Ordering::SeqCst);
    }
}
