//! Who takes part in a simulation.

use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use hitmachine_broker::BrokerConfig;
use hitmachine_core::Clock;
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::sync::SyncOptions;
use hitmachine_node::{Node, NodeConfig, Surroundings};
use hitmachine_testkit::deployment::Deployment;
use jiff::SignedDuration;
use turmoil::Sim;

use super::net::{SimClock, SimNet};
use super::trouble::HEALED;

/// The broker's name in the simulation.
pub(super) const HUB: &str = "hub";
/// Whose register is sent again and again.
pub(super) const SENT: &str = "schuldhulpverlening";
const PORT: u16 = 7443;
/// How long the files of a host that was stopped may be held, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// A node that serves, for who wants to look at it; gone while it is crashed.
pub(super) type Serving = Arc<Mutex<Weak<Node>>>;

/// How often a whole register was sent: begun, ended well, ended well after everything had healed.
pub(super) type Sent = Arc<Mutex<[u64; 3]>>;

/// What hosts are made with.
pub(super) struct Hosts<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) clock: &'a SimClock,
    pub(super) skews: [SignedDuration; 5],
}

/// A program that ended, in words.
fn ended(error: &dyn std::error::Error) -> Box<dyn std::error::Error> {
    hitmachine_service::console::chain(error).into()
}

/// A node's program. What the one before it did on threads of its own may hold its files a moment longer than the
/// simulation knows of.
async fn opened(config: NodeConfig, surroundings: Surroundings) -> Result<Node, Box<dyn std::error::Error>> {
    let begun = Instant::now();
    loop {
        match Node::open_in(config.clone(), surroundings.clone()).await {
            Err(error) if error.is_in_use() && begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            opened => return opened.map_err(|error| ended(&error)),
        }
    }
}

impl Hosts<'_> {
    fn clock(&self, place: usize) -> Arc<dyn Clock> {
        self.clock.skewed(self.skews[place])
    }

    /// The broker.
    pub(super) fn broker(&self, sim: &mut Sim<'_>) {
        let (path, clock) = (self.deployment.broker_config(), self.clock(0));
        sim.host(HUB, move || {
            let (config, clock) = (broker_config(&path), Arc::clone(&clock));
            async move {
                let running =
                    hitmachine_broker::run_in(config, (clock, SimNet), pending(), Arc::default(), |_| ());
                Box::pin(running).await.map_err(|error| ended(&error))
            }
        });
    }

    /// A node that serves, as the program does.
    pub(super) fn node(&self, sim: &mut Sim<'_>, partner: &'static str, place: usize, serving: &Serving) {
        let (config, surroundings) = self.of(partner, place);
        let serving = Arc::clone(serving);
        sim.host(partner, move || {
            let (config, surroundings, serving) =
                (config.clone(), surroundings.clone(), Arc::clone(&serving));
            async move {
                let node = Arc::new(opened(config, surroundings).await?);
                *serving.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&node);
                hitmachine_node::serve::serve(node, pending(), pending(), || ()).await?;
                Ok(())
            }
        });
    }

    /// A node that sends its whole register again and again.
    pub(super) fn sender(&self, sim: &mut Sim<'_>, place: usize, members: u64, sent: &Sent) {
        let (config, surroundings) = self.of(SENT, place);
        let sent = Arc::clone(sent);
        sim.host(SENT, move || {
            let (config, surroundings, sent) = (config.clone(), surroundings.clone(), Arc::clone(&sent));
            async move {
                let node = opened(config, surroundings).await?;
                for times in 0_u64.. {
                    let options = SyncOptions {
                        full: times % 2 == 0,
                        ..SyncOptions::default()
                    };
                    let count =
                        |place: usize| sent.lock().unwrap_or_else(PoisonError::into_inner)[place] += 1;
                    count(0);
                    match node.handle(Request::Sync(options), Arc::new(|_| ())).await {
                        Reply::Synced(report) => {
                            assert_eq!(report.persons, members, "hub and node agree on another register");
                            count(1);
                            if turmoil::sim_elapsed() > Some(HEALED) {
                                count(2);
                            }
                        }
                        Reply::Failed(failure) => assert!(failure.code != "still_differs", "{failure:?}"),
                        other => panic!("{other:?}"),
                    }
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                Ok(())
            }
        });
    }

    /// Configuration and surroundings of a node.
    pub(super) fn of(&self, partner: &str, place: usize) -> (NodeConfig, Surroundings) {
        let mut config = NodeConfig::load(&self.deployment.node_config(partner)).unwrap();
        config.broker.address = format!("{HUB}:{PORT}");
        let surroundings = Surroundings {
            clock: self.clock(place),
            network: Arc::new(SimNet),
        };
        (config, surroundings)
    }
}

fn broker_config(path: &Path) -> BrokerConfig {
    let mut config = BrokerConfig::load(path).unwrap();
    config.listen = ([0, 0, 0, 0], PORT).into();
    // They would be on the machine's network.
    config.metrics = None;
    config.audit.publish_listen = None;
    config
}
