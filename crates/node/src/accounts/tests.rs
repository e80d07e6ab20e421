use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::totp::Secret;
use super::*;
use crate::state::StateKey;

/// A clock that stands still until it is moved.
pub(super) struct Hands(AtomicI64);

impl Hands {
    pub(super) fn forward(&self, by: SignedDuration) {
        self.0.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

pub(super) struct Bench {
    pub(super) accounts: Accounts,
    pub(super) clock: Arc<Hands>,
    pub(super) state: Arc<State>,
    dir: tempfile::TempDir,
}

pub(super) const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const PASSWORD: &str = "fiets staat buiten";
const BY: &str = "beheer";

pub(super) fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(dir.path(), &StateKey::from_bytes([3; 32])).unwrap());
    let clock = Arc::new(Hands(AtomicI64::new(1_795_000_000)));
    let accounts = load(&state, &clock);
    Bench {
        accounts,
        clock,
        state,
        dir,
    }
}

fn load(state: &Arc<State>, clock: &Arc<Hands>) -> Accounts {
    let clock: Arc<dyn Clock> = Arc::<Hands>::clone(clock);
    Accounts::load(state, "veiligheidshuis", ConsoleSection::default(), clock).unwrap()
}

fn asker() -> Roles {
    Roles::of_words(["vrager=informatiecoordinator"]).unwrap()
}

fn administrator() -> Roles {
    Roles::of_words(["beheerder"]).unwrap()
}

impl Bench {
    fn user(&self, id: &str, roles: Roles) {
        let name = format!("{id} van Test");
        self.accounts
            .add(&User {
                id: id.into(),
                name,
                roles,
            })
            .unwrap();
    }

    /// Somebody who can sign in with [`PASSWORD`] and codes of [`SECRET`].
    fn ready(&self, id: &str) {
        self.user(id, asker());
        self.accounts.set_up(id, PASSWORD, SECRET).unwrap();
    }

    /// What the app with this secret shows now.
    fn code_of(&self, secret: &str) -> String {
        let now = u64::try_from(self.clock.now().as_second()).unwrap();
        Secret::parse(secret).unwrap().totp().generate(now).to_string()
    }

    fn code(&self) -> String {
        self.code_of(SECRET)
    }

    fn kinds(&self) -> Vec<Kind> {
        let entries = self
            .accounts
            .book()
            .list(&Filter::default(), 1_000)
            .unwrap()
            .entries;
        entries.iter().rev().map(|entry| entry.kind).collect()
    }

    fn pending(&self, id: &str) -> PendingToken {
        self.accounts.password(id, PASSWORD).unwrap().0
    }
}

fn locked(error: &SignInError) -> Option<Timestamp> {
    match error {
        SignInError::Locked { until } => Some(*until),
        _ => None,
    }
}

#[test]
fn a_first_sign_in_goes_by_a_new_password_and_an_app() {
    let bench = bench();
    let accounts = &bench.accounts;
    let new = NewUser {
        id: " Jansen ".into(),
        name: "J. Jansen".into(),
        roles: asker(),
    };
    let initial = accounts.create(&new, BY).unwrap();
    let again = accounts.create(&new, BY);
    assert!(matches!(again, Err(AccountError::Exists)));
    let (token, next) = accounts.password("JANSEN", initial.expose_text()).unwrap();
    assert_eq!(next, Next::NewPassword);
    // No step can be left out.
    assert!(matches!(accounts.code(&token, "123456"), Err(SignInError::Over)));
    assert!(matches!(accounts.enrol(&token, "123456"), Err(SignInError::Over)));
    let rule = |result| matches!(result, Err(SignInError::Rule(rule)) if rule == PasswordRule::Same);
    assert!(rule(accounts.new_password(&token, initial.expose_text())));
    assert!(matches!(
        accounts.new_password(&token, "te kort"),
        Err(SignInError::Rule(PasswordRule::TooShort))
    ));
    // Whoever else has the first password is out when its owner has chosen another.
    let (other, _) = accounts.password("jansen", initial.expose_text()).unwrap();
    assert_eq!(accounts.new_password(&token, PASSWORD).unwrap(), Next::Enrol);
    assert!(accounts.pending(&other).unwrap().is_none());
    assert!(matches!(
        accounts.password("jansen", initial.expose_text()),
        Err(SignInError::Wrong)
    ));
    let pending = accounts.pending(&token).unwrap().unwrap();
    assert_eq!(
        (pending.user.as_str(), pending.name.as_str(), pending.next),
        ("jansen", "J. Jansen", Next::Enrol)
    );
    let enrolment = pending.enrolment.unwrap();
    assert!(enrolment.uri.contains(enrolment.secret.as_str()));
    assert!(matches!(accounts.enrol(&token, "abc"), Err(SignInError::Wrong)));
    let (session, codes) = accounts.enrol(&token, &bench.code_of(&enrolment.secret)).unwrap();
    assert_eq!(accounts.session(&session).unwrap().unwrap().user.id, "jansen");
    assert!(accounts.pending(&token).unwrap().is_none(), "over");
    assert_eq!(accounts.recovery_codes_left("jansen").unwrap(), 10);
    // From now on: password and code. The code of the enrolment is used up.
    let (token, next) = accounts.password("jansen", PASSWORD).unwrap();
    assert_eq!(next, Next::Code);
    assert!(matches!(
        accounts.code(&token, &bench.code_of(&enrolment.secret)),
        Err(SignInError::Wrong)
    ));
    let recovery = codes.codes().next().unwrap();
    accounts.code(&token, recovery).unwrap();
    assert!(matches!(accounts.code(&token, recovery), Err(SignInError::Over)));
    assert_eq!(accounts.recovery_codes_left("jansen").unwrap(), 9);
    let again = accounts.password("jansen", PASSWORD).unwrap().0;
    assert!(
        matches!(accounts.code(&again, recovery), Err(SignInError::Wrong)),
        "once"
    );
    let view = accounts.view("jansen").unwrap().unwrap();
    assert!(view.second_factor && view.has_password && !view.must_change && !view.external && !view.blocked);
    assert_eq!((view.sessions, view.last_sign_in), (2, Some(bench.clock.now())));
    assert_eq!(
        bench.kinds(),
        [
            Kind::Created,
            Kind::Password,
            Kind::Failure,
            Kind::SecondFactor,
            Kind::SignIn,
            Kind::Failure,
            Kind::SignIn,
            Kind::Failure
        ]
    );
    assert_eq!(accounts.book().check().unwrap().broken, None);
}

#[test]
fn a_code_is_taken_once_and_a_pending_sign_in_ends() {
    let bench = bench();
    bench.ready("jansen");
    let accounts = &bench.accounts;
    let (one, two) = (bench.pending("jansen"), bench.pending("jansen"));
    let code = bench.code();
    let session = accounts.code(&one, &code).unwrap();
    assert_ne!(
        session.expose_text(),
        one.expose_text(),
        "no token becomes a session"
    );
    assert!(
        accounts
            .session(&SessionToken::parse(&one.expose_text()).unwrap())
            .unwrap()
            .is_none()
    );
    assert!(
        matches!(accounts.code(&two, &code), Err(SignInError::Wrong)),
        "replayed"
    );
    bench.clock.forward(MINUTE * 9);
    assert!(accounts.pending(&two).unwrap().is_some());
    bench.clock.forward(MINUTE * 2);
    assert!(accounts.pending(&two).unwrap().is_none());
    assert!(matches!(
        accounts.code(&two, &bench.code()),
        Err(SignInError::Over)
    ));
    assert!(
        accounts
            .pending(&PendingToken::parse(&"00".repeat(32)).unwrap())
            .unwrap()
            .is_none()
    );
    // The oldest goes when there are too many.
    let first = bench.pending("jansen");
    bench.clock.forward(SignedDuration::from_secs(1));
    let rest: Vec<_> = (0..8).map(|_| bench.pending("jansen")).collect();
    assert!(accounts.pending(&first).unwrap().is_none());
    assert!(
        rest.iter()
            .all(|token| accounts.pending(token).unwrap().is_some())
    );
}

#[test]
fn failures_close_an_account_and_a_strangers_name_alike() {
    let bench = bench();
    bench.ready("jansen");
    let accounts = &bench.accounts;
    let start = bench.clock.now();
    for name in ["jansen", "niemand", "123456782"] {
        for _ in 0..5 {
            assert!(
                matches!(
                    accounts.password(name, "verkeerd wachtwoord"),
                    Err(SignInError::Wrong)
                ),
                "{name}"
            );
        }
        let sixth = accounts.password(name, "verkeerd wachtwoord").unwrap_err();
        assert_eq!(locked(&sixth), Some(start + MINUTE), "{name}");
        // Also the right one is not looked at.
        let closed = accounts.password(name, PASSWORD).unwrap_err();
        assert_eq!(locked(&closed), Some(start + MINUTE), "{name}");
    }
    // Not forgotten by a restart.
    let accounts = load(&bench.state, &bench.clock);
    assert!(locked(&accounts.password("jansen", PASSWORD).unwrap_err()).is_some());
    bench.clock.forward(MINUTE);
    let seventh = accounts.password("jansen", "verkeerd wachtwoord").unwrap_err();
    assert_eq!(locked(&seventh), Some(bench.clock.now() + MINUTE * 2));
    bench.clock.forward(MINUTE * 2);
    assert!(accounts.password("jansen", PASSWORD).is_ok());
    for _ in 0..5 {
        assert!(
            matches!(
                accounts.password("jansen", "weer verkeerd!"),
                Err(SignInError::Wrong)
            ),
            "from the start"
        );
    }
    let book = accounts.book().list(&Filter::default(), 1_000).unwrap();
    let text = serde_json::to_string(&book).unwrap();
    assert!(
        !text.contains("niemand") && !text.contains("123456782") && !text.contains("verkeerd wacht"),
        "{text}"
    );
    assert!(text.contains("unknown_user"));
    assert_eq!(
        book.entries
            .iter()
            .filter(|entry| entry.kind == Kind::Lock)
            .count(),
        2
    );
}

#[test]
fn many_attempts_at_the_same_time_get_no_more_tries() {
    let bench = bench();
    bench.ready("jansen");
    let looked_at = std::thread::scope(|scope| {
        let attempt = || {
            scope.spawn(|| {
                bench
                    .accounts
                    .password("jansen", "verkeerd wachtwoord")
                    .unwrap_err()
            })
        };
        let attempts: Vec<_> = (0..16).map(|_| attempt()).collect();
        for attempt in attempts {
            attempt.join().unwrap();
        }
        bench
            .kinds()
            .iter()
            .filter(|kind| **kind == Kind::Failure)
            .count()
    });
    assert_eq!(looked_at, 6);
}

#[test]
fn wrong_codes_close_the_second_step_and_a_right_password_does_not_open_it() {
    let bench = bench();
    bench.ready("jansen");
    let token = bench.pending("jansen");
    let wrong = |token: &PendingToken| bench.accounts.code(token, "000000").unwrap_err();
    for _ in 0..5 {
        assert!(matches!(wrong(&token), SignInError::Wrong));
    }
    assert!(locked(&wrong(&token)).is_some());
    let token = bench.pending("jansen");
    assert!(locked(&wrong(&token)).is_some());
    assert!(locked(&bench.accounts.code(&token, &bench.code()).unwrap_err()).is_some());
    bench.clock.forward(MINUTE);
    assert!(bench.accounts.code(&token, &bench.code()).is_ok());
    // An administrator opens it at once.
    let token = bench.pending("jansen");
    for _ in 0..6 {
        wrong(&token);
    }
    bench.accounts.unblock("jansen", BY).unwrap();
    assert!(matches!(wrong(&token), SignInError::Wrong));
}

#[test]
fn what_changes_a_persons_rights_ends_their_sessions() {
    let bench = bench();
    bench.user("beheer", administrator());
    bench.ready("jansen");
    let accounts = &bench.accounts;
    let begin = || accounts.begin_session("jansen").unwrap();
    let gone = |token: &SessionToken| accounts.session(token).unwrap().is_none();
    let (kept, other) = (begin(), begin());
    assert_eq!(
        accounts
            .sessions_of("jansen")
            .unwrap()
            .iter()
            .filter(|view| view.is(&kept))
            .count(),
        1
    );
    let wrong = accounts.change_password("jansen", "niet het oude", "een heel ander zinnetje", Some(&kept));
    assert!(matches!(wrong, Err(SignInError::Wrong)) && !gone(&other));
    let same = accounts.change_password("jansen", PASSWORD, PASSWORD, Some(&kept));
    assert!(matches!(same, Err(SignInError::Rule(PasswordRule::Same))));
    accounts
        .change_password("jansen", PASSWORD, "een heel ander zinnetje", Some(&kept))
        .unwrap();
    assert!(gone(&other) && !gone(&kept));
    accounts.set_roles("jansen", &administrator(), BY).unwrap();
    assert!(gone(&kept));
    let token = begin();
    let pending = accounts
        .second_factor_anew("jansen", "een heel ander zinnetje")
        .unwrap();
    let enrolment = accounts.pending(&pending).unwrap().unwrap().enrolment.unwrap();
    let (new, _) = accounts
        .enrol(&pending, &bench.code_of(&enrolment.secret))
        .unwrap();
    assert!(gone(&token) && !gone(&new));
    accounts.block("jansen", BY).unwrap();
    assert!(gone(&new));
    assert!(matches!(
        accounts.begin_session("jansen"),
        Err(AccountError::Unknown)
    ));
    assert!(matches!(
        accounts.password("jansen", "een heel ander zinnetje"),
        Err(SignInError::Wrong)
    ));
    accounts.unblock("jansen", BY).unwrap();
    let token = begin();
    let initial = accounts.reset("jansen", BY).unwrap();
    assert!(gone(&token));
    assert_eq!(
        accounts.password("jansen", initial.expose_text()).unwrap().1,
        Next::NewPassword
    );
    let token = begin();
    accounts.remove("jansen", BY).unwrap();
    assert!(gone(&token) && accounts.user("jansen").unwrap().is_none());
    assert!(accounts.view("jansen").unwrap().is_none());
    let detail = "vrager=informatiecoordinator → beheerder".to_owned();
    let roles = Filter {
        kind: Some(Kind::Roles),
        ..Filter::default()
    };
    let entry = accounts.book().list(&roles, 5).unwrap().entries.remove(0);
    assert_eq!(
        (entry.user.as_str(), entry.by.as_deref(), entry.detail),
        ("jansen", Some(BY), Some(detail))
    );
    assert_eq!(accounts.book().check().unwrap().broken, None);
}

#[test]
fn sessions_end_when_idle_and_when_too_old() {
    let bench = bench();
    bench.ready("jansen");
    let accounts = &bench.accounts;
    let idle = accounts.begin_session("jansen").unwrap();
    let used = accounts.begin_session("jansen").unwrap();
    for _ in 0..60 {
        bench.clock.forward(MINUTE * 10);
        let alive = accounts.session(&used).unwrap().is_some();
        assert!(alive);
    }
    assert!(accounts.session(&idle).unwrap().is_none(), "idle");
    bench.clock.forward(MINUTE);
    assert!(accounts.session(&used).unwrap().is_none(), "ten hours");
    // Nobody comes back to these; the next sign-in sweeps them.
    for _ in 0..3 {
        accounts.begin_session("jansen").unwrap();
    }
    bench.clock.forward(MINUTE * 20);
    let last = accounts.begin_session("jansen").unwrap();
    assert_eq!(accounts.sessions.keys(b"").unwrap().len(), 1);
    accounts.end_session(&last).unwrap();
    assert!(accounts.session(&last).unwrap().is_none());
    assert_eq!(bench.kinds().last(), Some(&Kind::SignOut));
    accounts.end_session(&last).unwrap();
    assert_eq!(
        bench
            .kinds()
            .iter()
            .filter(|kind| **kind == Kind::SignOut)
            .count(),
        1
    );
}

#[test]
fn there_is_always_an_administrator() {
    let bench = bench();
    let accounts = &bench.accounts;
    bench.user("een", administrator());
    bench.user("twee", administrator());
    let last = |result: Result<(), AccountError>| matches!(result, Err(AccountError::LastAdministrator));
    accounts.set_roles("een", &administrator(), BY).unwrap();
    accounts.block("twee", BY).unwrap();
    assert!(last(accounts.set_roles("een", &asker(), "een")));
    assert!(last(accounts.block("een", "een")));
    assert!(last(accounts.remove("een", "een")));
    // A blocked one may go.
    accounts.set_roles("twee", &asker(), BY).unwrap();
    accounts.set_roles("twee", &administrator(), BY).unwrap();
    accounts.unblock("twee", BY).unwrap();
    accounts.set_roles("een", &asker(), BY).unwrap();
    assert!(last(accounts.remove("twee", BY)));
    accounts.remove("een", BY).unwrap();
}

#[test]
fn an_identity_provider_vouches_for_its_own_people_only() {
    let bench = bench();
    let accounts = &bench.accounts;
    bench.ready("jansen");
    let taken = accounts.external("Jansen", "Iemand anders", &administrator());
    assert!(matches!(taken, Err(AccountError::Exists)));
    let first = accounts.external("D.Vries", "D. de Vries", &asker()).unwrap();
    let again = accounts.external("d.vries", "D. de Vries", &asker()).unwrap();
    assert!(accounts.session(&first).unwrap().is_some(), "nothing changed");
    assert!(matches!(
        accounts.password("d.vries", PASSWORD),
        Err(SignInError::Wrong)
    ));
    assert!(matches!(
        accounts.reset("d.vries", BY),
        Err(AccountError::External)
    ));
    assert!(matches!(
        accounts.set_up("d.vries", PASSWORD, SECRET),
        Err(AccountError::External)
    ));
    assert!(matches!(
        accounts.change_password("d.vries", "", PASSWORD, None),
        Err(SignInError::Account(AccountError::External))
    ));
    let now = accounts
        .external("d.vries", "D. de Vries", &administrator())
        .unwrap();
    for old in [&first, &again] {
        assert!(accounts.session(old).unwrap().is_none(), "other roles");
    }
    assert!(accounts.session(&now).unwrap().unwrap().user.roles.administers);
    accounts
        .add(&User {
            id: "baas".into(),
            name: "De baas".into(),
            roles: administrator(),
        })
        .unwrap();
    accounts.block("d.vries", BY).unwrap();
    let blocked = accounts.external("d.vries", "D. de Vries", &administrator());
    assert!(matches!(blocked, Err(AccountError::Unknown)));
    for name in [
        "",
        "123456782",
        "met spatie",
        "a/b",
        "..",
        "unknown",
        "app:x",
        &"a".repeat(65),
    ] {
        assert!(
            matches!(accounts.external(name, "Naam", &asker()), Err(AccountError::Name)),
            "{name}"
        );
    }
    for name in ["", " ", "regel\nregel", "BSN 123456782", &"n".repeat(101)] {
        assert!(
            matches!(accounts.external("goed", name, &asker()), Err(AccountError::Name)),
            "{name}"
        );
    }
}

#[test]
fn an_applications_token_is_good_until_it_is_revoked_or_ends() {
    let bench = bench();
    let accounts = &bench.accounts;
    let new = |id: &str, expires| NewApplication {
        id: id.into(),
        name: "Zaaksysteem".into(),
        roles: asker(),
        purposes: Some(vec!["screening".into()]),
        expires,
    };
    let token = accounts.create_application(new("zaaksysteem", None), BY).unwrap();
    assert!(token.expose_text().starts_with("hm_") && token.expose_text().len() == 67);
    let found = accounts.application(token.expose_text()).unwrap().unwrap();
    assert_eq!(
        (found.user().as_str(), found.last_used),
        ("app:zaaksysteem", Some(bench.clock.now()))
    );
    assert!(found.user().parse::<hitmachine_core::UserId>().is_ok());
    assert!(matches!(
        accounts.create_application(new("zaaksysteem", None), BY),
        Err(AccountError::Exists)
    ));
    for id in ["", "A", "a b", "a/b", "123456782", &"a".repeat(41)] {
        assert!(
            matches!(
                accounts.create_application(new(id, None), BY),
                Err(AccountError::Name)
            ),
            "{id}"
        );
    }
    let nothing = NewApplication {
        roles: Roles::default(),
        ..new("leeg", None)
    };
    let purpose = NewApplication {
        purposes: Some(vec!["Geen Doel".into()]),
        ..new("doel", None)
    };
    for wrong in [nothing, purpose, new("oud", Some(bench.clock.now()))] {
        assert!(matches!(
            accounts.create_application(wrong, BY),
            Err(AccountError::Roles)
        ));
    }
    let short = accounts
        .create_application(new("kort", Some(bench.clock.now() + MINUTE)), BY)
        .unwrap();
    assert!(accounts.application(short.expose_text()).unwrap().is_some());
    bench.clock.forward(MINUTE);
    assert!(
        accounts.application(short.expose_text()).unwrap().is_none(),
        "ended"
    );
    let mut tampered = token.expose_text().to_owned();
    tampered.replace_range(66..67, if tampered.ends_with('0') { "1" } else { "0" });
    for wrong in [
        tampered.as_str(),
        "",
        "hm_",
        &token.expose_text()[3..],
        &token.expose_text().to_uppercase(),
    ] {
        assert!(accounts.application(wrong).unwrap().is_none());
    }
    accounts.revoke_application("zaaksysteem", BY).unwrap();
    assert!(
        accounts.application(token.expose_text()).unwrap().is_none(),
        "revoked"
    );
    assert!(matches!(
        accounts.revoke_application("zaaksysteem", BY),
        Err(AccountError::Unknown)
    ));
    assert_eq!(accounts.applications().unwrap().len(), 1);
    assert_eq!(format!("{token:?}"), "ApplicationToken(..)");
}

#[test]
fn no_secret_lies_in_the_state_or_the_book_in_clear() {
    let bench = bench();
    bench.ready("jansen");
    let Bench {
        accounts, state, dir, ..
    } = bench;
    let token = accounts.begin_session("jansen").unwrap().expose_text();
    drop((accounts, state));
    for entry in std::fs::read_dir(dir.path().join("sled")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(path).unwrap();
            for secret in [
                "argon2id",
                PASSWORD,
                SECRET,
                "12345678901234567890",
                token.as_str(),
            ] {
                assert!(
                    !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
                    "{secret}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_made_up_text_is_a_token(text in any::<String>()) {
        if let Some(token) = SessionToken::parse(&text) {
            prop_assert_eq!(token.expose_text(), text.to_lowercase());
        }
    }

    #[test]
    fn names_that_pass_are_kept_as_they_are_checked(text in "[ -~]{0,70}") {
        let id = record::kept_id(&text);
        if record::check_id(&id).is_ok() {
            prop_assert!(id.parse::<hitmachine_core::UserId>().is_ok());
            prop_assert!(!id.contains(['/', ':', '?', '#', '%', ' ']));
        }
    }
}
