//! Other systems hear how many are new, and nothing more.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

/// A system that answers each request with the next of these statuses, the last one for ever, and says what it got.
fn system(statuses: Vec<&'static str>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, hear) = mpsc::channel();
    std::thread::spawn(move || {
        let mut statuses = statuses.into_iter().peekable();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut got = Vec::new();
            let mut byte = [0];
            while !got.ends_with(b"}") && stream.read(&mut byte).unwrap_or(0) == 1 {
                got.push(byte[0]);
            }
            let status = *statuses.peek().unwrap();
            if statuses.len() > 1 {
                statuses.next();
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
            if tell.send(String::from_utf8(got).unwrap()).is_err() {
                return;
            }
        }
    });
    (address, hear)
}

#[test]
fn hooks_hear_a_number_and_nothing_else() {
    let world = World::new(520);
    let broker = world.broker();
    world.sync_all();
    let known = world.adults(Register::Regieteams, true);
    let (address, heard) = system(vec!["503 Busy", "204 No Content"]);
    let dir = tempfile::tempdir().unwrap();
    let (token, calls) = (dir.path().join("token"), dir.path().join("calls"));
    fs::write(&token, "geheim-4711\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let script = format!(
        "echo \"$HITMACHINE_NOTICE_COUNT $HITMACHINE_PARTNER $1\" >> {0}; cat >> {0}",
        calls.display()
    );
    let config = world.deployment.node_config(TOLD);
    let text = fs::read_to_string(&config).unwrap();
    let section = format!(
        "\n[notice]\nwebhook = \"{address}\"\nwebhook_token = {token:?}\ngather_seconds = 1\n\
         command = [\"/bin/sh\", \"-c\", {script:?}, \"sh\", \"extra word\"]\n"
    );
    // Before the first [[source]]: what follows it belongs to it.
    fs::write(
        &config,
        text.replacen("[[source]]", &format!("{section}\n[[source]]"), 1),
    )
    .unwrap();

    let mute = [
        "notice", "mute", "--asker", ASKS, "--case", "ZK-2", "--user", "bakker",
    ];
    assert_eq!(world.node(TOLD, &mute).code, 0);
    let serving = world.serve(TOLD);
    ask(&world, ASKS, known[0], "ZK-1");
    ask(&world, ASKS, known[1], "ZK-2");
    let patience = Duration::from_secs(30);
    let first = heard.recv_timeout(patience).unwrap();
    let second = heard.recv_timeout(patience).unwrap();
    for post in [&first, &second] {
        assert!(post.starts_with("POST /hook HTTP/1.1\r\n"), "{post}");
        assert!(post.contains("authorization: Bearer geheim-4711\r\n"));
        let body: Value = serde_json::from_str(post.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["count_new", "partner", "time"]);
        assert_eq!(
            (&body["count_new"], &body["partner"]),
            (&json!(1), &json!(TOLD)),
            "{post}"
        );
    }
    until("the command", || {
        fs::read_to_string(&calls).is_ok_and(|said| said.ends_with("}\n"))
    });
    let said = fs::read_to_string(&calls).unwrap();
    assert!(
        said.starts_with("1 regieteams extra word\n{\"count_new\":1,"),
        "{said}"
    );
    let reference = &known[0].references[&Register::Regieteams];
    let secrets: [&[u8]; 5] = [
        known[0].bsn.as_bytes(),
        reference.as_bytes(),
        b"ZK-1",
        ASKS.as_bytes(),
        b"signalering",
    ];
    for text in [&first, &second, &said] {
        assert_holds_none(text, &secrets);
    }
    assert_holds_none(
        &serving.log().unwrap(),
        &[b"geheim-4711", reference.as_bytes(), b"ZK-1"],
    );

    // Started anew it does not tell again what it told, and tells what came meanwhile.
    serving.kill().unwrap();
    ask(&world, ASKS, known[2], "ZK-1");
    let serving = world.serve(TOLD);
    let third = heard.recv_timeout(patience).unwrap();
    assert!(third.contains("\"count_new\":1,"), "{third}");
    drop(serving);

    // A configuration that cannot be right does not start.
    for (from, to) in [
        (address.as_str(), "http://example.org/hook"),
        ("\"/bin/sh\"", "\"sh\""),
        ("gather_seconds", "gather_minutes"),
    ] {
        let right = fs::read_to_string(&config).unwrap();
        fs::write(&config, right.replacen(from, to, 1)).unwrap();
        let said = world.node(TOLD, &["status"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert_holds_none(&said.err, &[b"geheim-4711"]);
        fs::write(&config, right).unwrap();
    }
    assert_eq!(broker.stop().unwrap(), Some(0));
}
