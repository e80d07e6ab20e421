use std::time::Duration;

use hitmachine_core::LiveSubject;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(20);

fn partner(id: &str) -> PartnerId {
    id.parse().unwrap()
}

fn live() -> Arc<Live> {
    Live::new(LiveMetrics::new(&mut Registry::default()))
}

fn question(partner: &str, persons: usize, deadline: Duration) -> LiveQuestion {
    let mut opening = vec![9; 16];
    opening.extend_from_slice(&[2, 1, 1]);
    opening.extend_from_slice(&[7; 32]);
    let subject = LiveSubject::decode(&opening).unwrap();
    LiveQuestion {
        partner: partner.parse().unwrap(),
        deadline,
        frame: vec![1],
        signature: [2; 64],
        subjects: (0..persons).map(|place| (place, subject.clone())).collect(),
    }
}

/// What partners said, by way of the only thing it is for.
fn said(answers: &LiveAnswers, partner: &str) -> String {
    let text = format!("{answers:?}");
    if text.contains(partner) {
        text
    } else {
        "nothing".into()
    }
}

async fn next(accepted: &mut Accepted) -> v1::hub_live_message::Message {
    let message = timeout(SOON, accepted.outgoing.recv()).await.unwrap();
    message.unwrap().unwrap().message.unwrap()
}

fn number_of(message: &ToNode) -> u64 {
    match message {
        ToNode::Question(question) => question.id,
        ToNode::Replaced(_) => panic!("replaced"),
    }
}

fn hello() -> v1::LiveHello {
    v1::LiveHello::default()
}

#[tokio::test]
async fn partners_are_asked_at_once_and_each_has_its_own_answer() {
    let live = live();
    let (om, politie) = (partner("om"), partner("politie"));
    let mut first = live.hello(&om, &hello()).unwrap();
    let mut second = live.hello(&politie, &hello()).unwrap();
    let asking = tokio::spawn({
        let live = Arc::clone(&live);
        async move {
            let questions = vec![
                question("om", 2, SOON),
                question("politie", 1, SOON),
                question("niemand", 1, SOON),
            ];
            live.ask(questions).await
        }
    });
    // The second answers while the first has not.
    let to_second = number_of(&next(&mut second).await);
    live.answer(
        &politie,
        second.number,
        &live::answer(to_second, &[LiveStatus::Known]),
    );
    let to_first = number_of(&next(&mut first).await);
    // An answer under another connection's name is nobody's.
    live.answer(
        &politie,
        first.number,
        &live::answer(to_first, &[LiveStatus::NotKnown; 2]),
    );
    live.answer(
        &om,
        first.number,
        &live::answer(to_first, &[LiveStatus::NotKnown; 2]),
    );
    let answers = timeout(SOON, asking).await.unwrap().unwrap();
    assert!(said(&answers, "\"om\"").contains("[NotKnown, NotKnown]"));
    assert!(said(&answers, "politie").contains("[Known]"));
    assert_eq!(said(&answers, "niemand"), "nothing");
}

#[tokio::test]
async fn whoever_goes_while_asked_could_not_be_asked_at_once() {
    let live = live();
    let om = partner("om");
    let mut node = live.hello(&om, &hello()).unwrap();
    let ask = |live: &Arc<Live>| {
        let live = Arc::clone(live);
        // So long a deadline that the test would not wait for it.
        tokio::spawn(async move { live.ask(vec![question("om", 1, Duration::from_hours(1))]).await })
    };
    let asking = ask(&live);
    next(&mut node).await;
    live.gone(&om, node.number);
    let answers = timeout(SOON, asking).await.unwrap().unwrap();
    assert_eq!(said(&answers, "om"), "nothing");
    let answers = timeout(SOON, ask(&live)).await.unwrap().unwrap();
    assert_eq!(said(&answers, "om"), "nothing", "nobody is connected");

    // Another node takes its place in the middle.
    let mut node = live.hello(&om, &hello()).unwrap();
    let asking = ask(&live);
    next(&mut node).await;
    let mut newer = live.hello(&om, &hello()).unwrap();
    assert_eq!(
        said(&timeout(SOON, asking).await.unwrap().unwrap(), "om"),
        "nothing"
    );
    assert!(matches!(next(&mut node).await, ToNode::Replaced(_)));
    assert!(timeout(SOON, node.outgoing.recv()).await.unwrap().is_none());
    assert!(timeout(SOON, node.ended).await.unwrap().is_err());
    // The end of the older one does not touch the newer one.
    live.gone(&om, node.number);
    let asking = ask(&live);
    let id = number_of(&next(&mut newer).await);
    live.answer(&om, newer.number, &live::answer(id, &[LiveStatus::Known]));
    let answers = timeout(SOON, asking).await.unwrap().unwrap();
    assert!(said(&answers, "om").contains("[Known]"));
    // One that only wants a free place does not get this one.
    let modest = v1::LiveHello {
        only_if_none: true,
        ..hello()
    };
    assert!(live.hello(&om, &modest).is_err());
    live.gone(&om, newer.number);
    assert!(live.hello(&om, &modest).is_ok());
}

#[tokio::test]
async fn silence_ends_at_the_deadline_and_nothing_is_left_of_the_question() {
    let live = live();
    let om = partner("om");
    let mut node = live.hello(&om, &hello()).unwrap();
    let answers = live.ask(vec![question("om", 1, Duration::from_millis(20))]).await;
    assert_eq!(said(&answers, "om"), "nothing");
    assert!(live.connections()[&om].waiting.is_empty());
    // Its answer comes too late, and is no other question's.
    let late = number_of(&next(&mut node).await);
    let asking = tokio::spawn({
        let live = Arc::clone(&live);
        async move { live.ask(vec![question("om", 1, SOON)]).await }
    });
    let id = number_of(&next(&mut node).await);
    live.answer(&om, node.number, &live::answer(late, &[LiveStatus::NotKnown]));
    live.answer(&om, node.number, &live::answer(id, &[LiveStatus::Known]));
    let answers = timeout(SOON, asking).await.unwrap().unwrap();
    assert!(said(&answers, "om").contains("[Known]"));
}

#[tokio::test]
async fn an_answer_about_other_persons_or_without_meaning_is_none() {
    let live = live();
    let om = partner("om");
    let mut node = live.hello(&om, &hello()).unwrap();
    for statuses in [vec![], vec![1], vec![1, 1, 1], vec![0, 1], vec![1, 9]] {
        let asking = tokio::spawn({
            let live = Arc::clone(&live);
            async move { live.ask(vec![question("om", 2, SOON)]).await }
        });
        let id = number_of(&next(&mut node).await);
        live.answer(&om, node.number, &v1::LiveAnswer { id, statuses });
        let answers = timeout(SOON, asking).await.unwrap().unwrap();
        assert_eq!(said(&answers, "om"), "nothing");
    }
}

#[tokio::test]
async fn no_more_questions_wait_than_there_is_room_for() {
    let live = live();
    let node = live.hello(&partner("om"), &hello()).unwrap();
    let one = question("om", 1, SOON);
    let mut waiting = Vec::new();
    for _ in 0..MOST_WAITING {
        waiting.push(live.send(&one).ok().unwrap());
    }
    assert_eq!(live.send(&one).err(), Some("busy"));
    // The node reads nothing; that does not stand in anybody's way.
    waiting.clear();
    assert_eq!(live.send(&one).err(), None, "one place is for the last message");
    assert_eq!(live.send(&one).err(), Some("busy"));
    drop(node);
}
