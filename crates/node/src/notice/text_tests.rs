use super::*;

fn notice() -> NoticeView {
    NoticeView {
        log_index: 41,
        number: 1,
        asked_at: "2026-11-21T12:00:00Z".into(),
        received_at: "2026-11-21T12:00:01Z".into(),
        asker: AskerView {
            partner: "leerplicht".into(),
            name: "Leerplicht".into(),
            oin: "00000099000000000011".into(),
            contact: "bureau, 024 000 00 01".into(),
        },
        purpose: "signalering".into(),
        purpose_title: "Vermoeden".into(),
        case: Some("ZK-1".into()),
        request_id: "r".into(),
        class: ClassWord::Minor,
        registered: true,
        references: vec!["D-1".into(), "D-2".into()],
        state: StateWord::New,
        seen_by: None,
        seen_at: None,
        kept_until: Some("2027-02".into()),
    }
}

fn view(notices: Vec<NoticeView>) -> NoticesView {
    NoticesView {
        new: notices.len(),
        muted: 3,
        last: 1,
        notices,
    }
}

#[test]
fn entries_count_from_one_in_local_time() {
    let text = list(&view(vec![notice()]), Language::Nl);
    for part in [
        "42",
        "2026-11-21 13:00:00",
        "Leerplicht",
        "024 000 00 01",
        "ZK-1",
        "D-1, D-2",
        "nieuw",
        "1 nieuw, 3 gedempt.",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let one = line(&notice(), Language::En);
    assert!(
        !one.contains('\n') && one.contains("Leerplicht, bureau") && one.contains("your file: D-1, D-2"),
        "{one}"
    );
    assert!(list(&view(vec![]), Language::En).starts_with("No hit notices."));
}

#[test]
fn what_is_not_known_any_more_is_said() {
    let bare = NoticeView {
        case: None,
        registered: false,
        references: vec![],
        purpose_title: String::new(),
        seen_by: Some("bakker".into()),
        seen_at: Some("2026-11-21T12:00:00Z".into()),
        state: StateWord::Seen,
        ..notice()
    };
    let text = show(&bare, Language::Nl);
    for part in [
        "niet meer bewaard",
        "staat niet meer in het register",
        "signalering",
        "bakker (2026-11-21 13:00:00)",
        "2027-02",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let unnamed = NoticeView {
        references: vec![],
        ..notice()
    };
    assert!(show(&unnamed, Language::En).contains("without a reference"));
}

#[test]
fn what_others_wrote_does_not_steer_the_terminal() {
    let evil = || "\u{1b}[2J\u{7}x".to_owned();
    let mut hostile = notice();
    (hostile.case, hostile.references) = (Some(evil()), vec![evil()]);
    (hostile.asker.name, hostile.asker.contact, hostile.purpose_title) = (evil(), evil(), evil());
    let mute = MuteView {
        asker: evil(),
        case: evil(),
        by: evil(),
        at: evil(),
        reason: Some(evil()),
    };
    let texts = [
        list(&view(vec![hostile.clone()]), Language::Nl),
        show(&hostile, Language::En),
        line(&hostile, Language::En),
        mutes(&[mute], Language::Nl),
    ];
    for text in texts {
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
}
