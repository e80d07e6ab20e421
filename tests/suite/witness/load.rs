//! Questions while partners cosign: no answer is refused because a round came in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::AgeClass;
use hitmachine_tests::world::World;
use hitmachine_tests::{node, screening};

use super::hub::{Hub, QUORUM, ask_when_ready};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_witnesses_and_asks_gets_every_answer() {
    let world = World::witnessed(309);
    let hub = Hub::start(&world);
    let nodes: Vec<_> = QUORUM.iter().map(|partner| world.serve(partner)).collect();
    ask_when_ready(&world, COORDINATOR);
    let coordinator = Arc::new(node(&world.deployment, COORDINATOR, world.address).await);
    let witnessing = {
        let coordinator = Arc::clone(&coordinator);
        tokio::spawn(async move { coordinator.witness().await })
    };
    let begun = Instant::now();
    let mut asking = Vec::new();
    for _ in 0..16 {
        let question = screening(&coordinator, world.bsn(AgeClass::Adult), "1980-01-01");
        let coordinator = Arc::clone(&coordinator);
        asking.push(tokio::spawn(async move {
            let (mut answered, mut refused) = (0, Vec::new());
            while begun.elapsed() < Duration::from_secs(4) {
                match coordinator.inquirer().ask(&question).await {
                    Ok(_) => answered += 1,
                    Err(error) => refused.push(error.to_string()),
                }
            }
            (answered, refused)
        }));
    }
    let (mut answered, mut refused) = (0, Vec::new());
    for task in asking {
        let (some, not) = task.await.unwrap();
        answered += some;
        refused.extend(not);
    }
    println!("{answered} answers while partners cosigned");
    assert!(
        refused.is_empty(),
        "{} refused, such as: {}",
        refused.len(),
        refused[0]
    );
    witnessing.abort();
    drop(nodes);
    assert_eq!(hub.broker.stop().unwrap(), Some(0));
}
