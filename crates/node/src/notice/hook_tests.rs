use std::fs;

use hitmachine_core::SystemClock;

use super::*;
use crate::notice::book::tests::World;

fn command(script: &str, seconds: u64) -> Hook {
    let section = NoticeSection {
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        timeout_seconds: seconds,
        ..NoticeSection::default()
    };
    Hook::all(&section, "weet").unwrap().remove(0)
}

#[tokio::test]
async fn what_was_told_is_not_told_again_and_what_failed_is() {
    let world = World::new();
    let book = Arc::new(world.open());
    let dir = tempfile::tempdir().unwrap();
    let calls = dir.path().join("calls");
    let said = || fs::read_to_string(&calls).unwrap_or_default();
    let hook = command(
        &format!("echo $HITMACHINE_NOTICE_COUNT >> {0}", calls.display()),
        20,
    );
    assert_eq!(hook.tell(&book, &SystemClock).await.unwrap(), 0);
    assert_eq!(said(), "", "nothing came");
    book.store(vec![world.incoming(1, 1, "ZK-1"), world.incoming(2, 1, "ZK-1")])
        .unwrap();
    for _ in 0..2 {
        assert_eq!(hook.tell(&book, &SystemClock).await.unwrap(), 2);
    }
    assert_eq!(said(), "2\n");

    // It fails, and more comes; then it hears of all that.
    book.store(vec![world.incoming(3, 1, "ZK-1")]).unwrap();
    let failing = command("exit 3", 20);
    let failed = failing.tell(&book, &SystemClock).await;
    assert_eq!(failed.unwrap_err().code(), "command_failed");
    let gone = Hook {
        way: Way::Command {
            program: "/nowhere/at-all".into(),
            arguments: vec![],
        },
        ..command("", 20)
    };
    assert_eq!(
        gone.tell(&book, &SystemClock).await.unwrap_err().code(),
        "command_run"
    );
    let slow = command("sleep 60", 1);
    assert_eq!(
        slow.tell(&book, &SystemClock).await.unwrap_err().code(),
        "command_timeout"
    );
    book.store(vec![world.incoming(4, 1, "ZK-1")]).unwrap();
    drop(book);
    let book = Arc::new(world.open());
    assert_eq!(hook.tell(&book, &SystemClock).await.unwrap(), 4);
    assert_eq!(said(), "2\n2\n");

    // What somebody has seen meanwhile is no news.
    book.store(vec![world.incoming(5, 1, "ZK-1")]).unwrap();
    book.seen(&[5], &"bakker".parse().unwrap()).unwrap();
    assert_eq!(hook.tell(&book, &SystemClock).await.unwrap(), 5);
    assert_eq!(said(), "2\n2\n");
}

#[tokio::test]
async fn a_command_gets_three_fields_and_little_of_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let got = dir.path().join("got");
    let hook = command(&format!("cat > {0}; env >> {0}", got.display()), 20);
    hook.call(7, &SystemClock).await.unwrap();
    let got = fs::read_to_string(&got).unwrap();
    let (json, environment) = got.split_once('\n').unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let fields: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["count_new", "partner", "time"]);
    assert_eq!(
        (&json["count_new"], &json["partner"]),
        (&7.into(), &"weet".into())
    );
    assert!(environment.contains("HITMACHINE_NOTICE_COUNT=7\n"));
    let names: Vec<&str> = environment
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    // What a shell sets by itself goes with it.
    let known = [
        "HITMACHINE_NOTICE_COUNT",
        "HITMACHINE_PARTNER",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    ];
    for name in names {
        assert!(
            known.contains(&name) || PASSED_ON.contains(&name),
            "{name} was passed on"
        );
    }
}

#[test]
fn a_hook_that_cannot_be_right_is_refused() {
    let refused = |section: NoticeSection| Hook::all(&section, "weet").err().unwrap();
    let with = |address: &str| NoticeSection {
        webhook: Some(address.to_owned()),
        ..NoticeSection::default()
    };
    assert!(matches!(
        refused(with("http://example.org/")),
        HookConfigError::Webhook(WebAddressError::Form)
    ));
    let alone = NoticeSection {
        webhook_token: Some("/nowhere".into()),
        ..NoticeSection::default()
    };
    assert!(matches!(refused(alone), HookConfigError::NoWebhook));
    let missing = NoticeSection {
        webhook_token: Some("/nowhere".into()),
        ..with("https://example.org/")
    };
    assert!(matches!(refused(missing), HookConfigError::Token(_)));
    let relative = NoticeSection {
        command: vec!["mail".to_owned()],
        ..NoticeSection::default()
    };
    assert!(matches!(refused(relative), HookConfigError::Command));
    assert!(Hook::all(&NoticeSection::default(), "weet").unwrap().is_empty());
}
