//! The local API: what an organisation's own systems may do, and that its document tells the truth.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

use std::process::Command;

use hitmachine_node::accounts::NewApplication;
use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::process::run_with_input;
use hitmachine_tests::browser::node_modules;
use hitmachine_tests::site::{Answered, Desk, Site, Visitor, roles};
use serde_json::{Value, json};

/// An application with a token.
struct Application {
    visitor: Visitor,
    token: String,
}

impl Application {
    fn of(desk: &Desk, id: &str, roles: hitmachine_node::accounts::Roles, purposes: Option<&[&str]>) -> Self {
        let new = NewApplication {
            id: id.into(),
            name: format!("Zaaksysteem {id}"),
            roles,
            purposes: purposes.map(|all| all.iter().map(ToString::to_string).collect()),
            expires: None,
        };
        let token = desk.node.accounts().create_application(new, "test").unwrap();
        Self {
            visitor: desk.stranger(),
            token: token.expose_text().to_owned(),
        }
    }

    async fn send(&self, method: &str, path: &str, more: &[(&str, &str)], body: &Value) -> Answered {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        if !body.is_null() {
            headers.push(("content-type", "application/json"));
        }
        headers.extend_from_slice(more);
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.visitor
            .send(method, &format!("/api/v1{path}"), &headers, &body)
            .await
    }

    async fn get(&self, path: &str) -> Answered {
        self.send("GET", path, &[], &Value::Null).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answered {
        self.send("POST", path, &[], body).await
    }

    async fn ask(&self, key: &str, body: &Value) -> Answered {
        self.send("POST", "/questions", &[("idempotency-key", key)], body)
            .await
    }
}

fn value(answered: &Answered) -> Value {
    serde_json::from_str(&answered.body).unwrap_or_else(|_| panic!("no JSON: {answered:?}"))
}

/// A problem of this status and code, in its own media type, with nothing of a number in it.
fn refused(answered: &Answered, status: u16, code: &str) {
    assert_eq!(answered.status, status, "{answered:?}");
    assert_eq!(answered.header("content-type"), "application/problem+json");
    let problem = value(answered);
    assert_eq!(
        (&problem["code"], &problem["status"]),
        (&json!(code), &json!(status)),
        "{problem}"
    );
}

/// What does not fit the document.
fn misfits(document: &Value, answers: &[(&str, &str, &str, Value)]) -> String {
    let answers: Vec<Value> = answers
        .iter()
        .map(|(path, method, status, value)| {
            let operation = &document["paths"][*path][method.to_lowercase()];
            let content = operation["responses"][*status]["content"].as_object();
            let content =
                content.unwrap_or_else(|| panic!("{method} {path} {status} is not in the document"));
            let schema = &content.values().next().unwrap()["schema"];
            json!({"name": format!("{method} {path}"), "schema": schema, "value": value})
        })
        .collect();
    let input = json!({"document": document, "answers": answers}).to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/browser/schema.mjs");
    let mut command = Command::new("node");
    let output = run_with_input(command.arg(script).arg(node_modules()), input.as_bytes()).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn question(site: &Site) -> Value {
    json!({
        "purpose": "screening", "case": "ZAAK-7", "responsible": "i.pietersen",
        "persons": [
            {"number": site.world.bsn(AgeClass::Adult), "class": "adult", "reference": "D-1"},
            {"number": site.world.bsn(AgeClass::Minor), "class": "minor"},
        ],
    })
}

const KEY: &str = "7d4f4b86-6c5c-4c3e-9a53-3a4c1f6f8a01";

#[tokio::test(flavor = "multi_thread")]
async fn a_case_system_does_its_work() {
    let site = Site::open(61);
    let desk = site.desk("veiligheidshuis").await;
    let application = Application::of(
        &desk,
        "zaken",
        roles(Some("informatiecoordinator"), false, false),
        None,
    );
    let document = value(&desk.stranger().get("/api/v1/openapi.json").await);
    let mut answers = Vec::new();
    let mut keep = |path, method, status, answered: &Answered| {
        assert_eq!(
            answered.status.to_string(),
            status,
            "{method} {path}: {answered:?}"
        );
        assert_eq!(answered.header("api-version"), "1.0.0");
        assert_eq!(answered.header("cache-control"), "no-store");
        answers.push((path, method, status, value(answered)));
    };

    let purposes = application.get("/purposes").await;
    keep("/purposes", "GET", "200", &purposes);
    assert_eq!(value(&purposes)[0]["code"], "screening");

    let before = desk.node.witnessed_s();
    let asked = application.ask(KEY, &question(&site)).await;
    keep("/questions", "POST", "201", &asked);
    let answer = value(&asked);
    assert_eq!(answer["user"], "app:zaken");
    let persons = answer["outcome"]["answered"]["persons"].as_array().unwrap();
    assert_eq!(persons.len(), 2, "{answer}");
    assert_eq!(before, desk.node.witnessed_s());

    // Sent again, also at the same time: the same question.
    let body = question(&site);
    let (one, two) = tokio::join!(application.ask(KEY, &body), application.ask(KEY, &body));
    assert_eq!(value(&one), answer);
    assert_eq!(value(&two), answer);
    let mut other = question(&site);
    other["case"] = json!("ZAAK-8");
    refused(&application.ask(KEY, &other).await, 409, "form_used");

    let location = asked
        .header("location")
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    let again = application.get(&location).await;
    keep("/questions/{id}", "GET", "200", &again);
    assert_eq!(value(&again), answer);
    let list = application.get("/questions?page=1").await;
    keep("/questions", "GET", "200", &list);
    assert_eq!(value(&list)["total"], 1);
    let proof = application.get(&format!("{location}/proofs/2")).await;
    assert_eq!(proof.status, 200, "{proof:?}");
    assert!(proof.body.starts_with("c2sp.org/tlog-proof@v1"), "{}", proof.body);
    refused(
        &application.get(&format!("{location}/proofs/3")).await,
        404,
        "not_found",
    );

    let list = json!({"purpose": "screening", "case": "LIJST-1", "households": [
        {"name": "H1", "persons": [{"number": site.world.bsn(AgeClass::Adult), "birth_date": "1980-02-03"}]},
    ]});
    keep(
        "/screening-plans",
        "POST",
        "200",
        &application.post("/screening-plans", &list).await,
    );
    let begun = application.post("/screenings", &list).await;
    keep("/screenings", "POST", "201", &begun);
    let screening = begun
        .header("location")
        .strip_prefix("/api/v1")
        .unwrap()
        .to_owned();
    while value(&application.get(&screening).await)["stand"] == "running" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    keep(
        "/screenings/{id}",
        "GET",
        "200",
        &application.get(&screening).await,
    );
    keep("/screenings", "GET", "200", &application.get("/screenings").await);
    let report = application.get(&format!("{screening}/report")).await;
    keep("/screenings/{id}/report", "GET", "200", &report);
    assert_eq!(value(&report)["stand"], "done", "{report:?}");
    let csv = application.get(&format!("{screening}/report?format=csv")).await;
    assert_eq!(
        (csv.status, csv.header("content-type")),
        (200, "text/csv; charset=utf-8")
    );
    assert_eq!(
        application
            .send("DELETE", &screening, &[], &Value::Null)
            .await
            .status,
        204
    );
    refused(&application.get(&screening).await, 404, "not_found");

    keep(
        "/notices",
        "GET",
        "200",
        &application.get("/notices?state=all").await,
    );
    let mute = json!({"partner": "leerplicht", "case": "LP-1", "reason": "overlegd"});
    assert_eq!(application.post("/mutes", &mute).await.status, 204);
    let mutes = application.get("/mutes").await;
    keep("/mutes", "GET", "200", &mutes);
    assert_eq!(value(&mutes)[0]["case"], "LP-1");
    let removal = json!({"partner": "leerplicht", "case": "LP-1"});
    assert_eq!(application.post("/mute-removals", &removal).await.status, 204);
    assert_eq!(value(&application.get("/mutes").await), json!([]));

    let monitoring = Application::of(&desk, "toezicht", roles(None, true, true), None);
    let search = json!({"reference": "bewaking", "purpose": "screening"});
    let found = monitoring.post("/audit/searches", &search).await;
    keep("/audit/searches", "POST", "200", &found);
    assert_eq!(value(&found)["rows"].as_array().unwrap().len(), 3, "{found:?}");
    let entries = json!({"reference": "bewaking", "log_indexes": [0]});
    keep(
        "/audit/entries",
        "POST",
        "200",
        &monitoring.post("/audit/entries", &entries).await,
    );
    let why = json!({"reference": "bewaking"});
    keep(
        "/audit/alarms",
        "POST",
        "200",
        &monitoring.post("/audit/alarms", &why).await,
    );
    keep("/status", "GET", "200", &monitoring.get("/status").await);

    assert_eq!(misfits(&document, &answers), "");
    // The validator finds what is wrong.
    let broken = [("/purposes", "GET", "200", json!([{"code": 7}]))];
    assert!(
        misfits(&document, &broken).contains("/purposes"),
        "the validator validates nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_so() {
    let site = Site::open(62);
    let desk = site.desk("veiligheidshuis").await;
    let asker = roles(Some("informatiecoordinator"), false, false);
    let application = Application::of(&desk, "zaken", asker.clone(), None);
    let stranger = Application {
        visitor: desk.stranger(),
        token: format!("hm_{}", "0".repeat(64)),
    };
    for path in ["/purposes", "/questions", "/notices", "/status"] {
        let answered = stranger.get(path).await;
        refused(&answered, 401, "unauthorised");
        assert_eq!(answered.header("www-authenticate"), "Bearer");
        refused(
            &desk.stranger().get(&format!("/api/v1{path}")).await,
            401,
            "unauthorised",
        );
    }
    // A person's session is nothing here, and neither is a token elsewhere.
    desk.account("pietersen", asker.clone());
    refused(
        &desk.visitor("pietersen").get("/api/v1/purposes").await,
        401,
        "unauthorised",
    );
    let in_address = format!("/api/v1/purposes?access_token={}", application.token);
    refused(&desk.stranger().get(&in_address).await, 401, "unauthorised");
    let mut changed = application.token.clone();
    let last = if changed.ends_with('0') { "1" } else { "0" };
    changed.replace_range(changed.len() - 1.., last);
    let forged = Application {
        visitor: desk.stranger(),
        token: changed,
    };
    refused(&forged.get("/purposes").await, 401, "unauthorised");
    // Nor does it open a page.
    let page = application
        .visitor
        .send(
            "GET",
            "/ask",
            &[("authorization", &format!("Bearer {}", application.token))],
            "",
        )
        .await;
    assert_eq!(page.status, 303, "{page:?}");

    for (method, path, body) in [
        ("GET", "/status", Value::Null),
        ("POST", "/audit/searches", json!({"reference": "x"})),
        ("POST", "/audit/alarms", json!({"reference": "x"})),
    ] {
        refused(
            &application.send(method, path, &[], &body).await,
            403,
            "role_missing",
        );
    }
    let monitoring = Application::of(&desk, "toezicht", roles(None, true, true), None);
    refused(&monitoring.ask(KEY, &question(&site)).await, 403, "role_missing");
    // A purpose that the covenant grants and the application's own limits do not.
    let limited = Application::of(&desk, "beperkt", asker, Some(&["signalering"]));
    assert_eq!(value(&limited.get("/purposes").await), json!([]));
    let answered = limited.ask(KEY, &question(&site)).await;
    refused(&answered, 422, "fields");
    assert_eq!(value(&answered)["errors"][0]["pointer"], "/purpose");
    // Another's question is not there.
    assert_eq!(application.ask(KEY, &question(&site)).await.status, 201);
    refused(&limited.get(&format!("/questions/{KEY}")).await, 404, "not_found");
    // Revoked: at once.
    desk.node.accounts().revoke_application("zaken", "test").unwrap();
    refused(&application.get("/purposes").await, 401, "unauthorised");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_is_named_and_not_repeated() {
    let mut site = Site::open(63);
    let desk = site.desk("veiligheidshuis").await;
    let application = Application::of(
        &desk,
        "zaken",
        roles(Some("informatiecoordinator"), false, false),
        None,
    );
    let bsn = site.world.bsn(AgeClass::Adult).to_owned();
    let wrong = format!("{}{}", &bsn[..8], (bsn[8..].parse::<u8>().unwrap() + 1) % 10);
    let mut said = Vec::new();

    let mut body = question(&site);
    body["persons"][1]["number"] = json!(wrong);
    body["case"] = json!(format!("zaak {bsn}"));
    let answered = application.ask(KEY, &body).await;
    refused(&answered, 422, "fields");
    let errors = value(&answered)["errors"].clone();
    assert_eq!(errors[0]["pointer"], "/case");
    assert_eq!(errors[1]["pointer"], "/persons/1/number");
    said.push(answered);
    let mut body = question(&site);
    body["bsn"] = json!(bsn);
    let answered = application.ask(KEY, &body).await;
    refused(&answered, 422, "body");
    said.push(answered);
    let answered = application
        .send("POST", "/questions", &[("idempotency-key", KEY)], &json!(bsn))
        .await;
    refused(&answered, 422, "body");
    said.push(answered);
    for key in ["", "1", &bsn, "0190b3f0-0000-7000-8000-000000000000"] {
        let answered = application.ask(key, &question(&site)).await;
        refused(&answered, 400, "idempotency_key");
        said.push(answered);
    }
    let list = json!({"purpose": "screening", "case": "L", "households": [
        {"name": "H", "persons": [{"number": bsn}]},
    ]});
    let answered = application.post("/screenings", &list).await;
    refused(&answered, 422, "fields");
    assert_eq!(value(&answered)["errors"][0]["pointer"], "/persons/0/birth_date");
    said.push(answered);
    refused(
        &application.send("PATCH", "/questions", &[], &Value::Null).await,
        405,
        "method",
    );
    refused(&application.get("/nowhere").await, 404, "not_found");
    refused(&application.get("/questions?case=x").await, 400, "malformed");
    let huge = json!({"purpose": "screening", "case": "x".repeat(3 << 20), "persons": []});
    refused(&application.ask(KEY, &huge).await, 413, "too_large");
    let plain = application
        .send(
            "POST",
            "/questions",
            &[("content-type", "text/plain")],
            &Value::Null,
        )
        .await;
    assert_eq!(plain.status, 415, "{plain:?}");
    for answered in &said {
        assert!(
            !answered.body.contains(&bsn) && !answered.body.contains(&wrong),
            "{answered:?}"
        );
    }
    let english = application
        .send(
            "GET",
            "/nowhere",
            &[("accept-language", "en-GB,en;q=0.9")],
            &Value::Null,
        )
        .await;
    assert!(
        value(&english)["detail"]
            .as_str()
            .unwrap()
            .contains("does not exist")
    );

    // Without the hub: could not ask, which is never an answer.
    drop(site.broker.take());
    let answered = application
        .ask("3b1a0a1e-53c4-4a0b-8f3e-5d9f6b1f2c10", &question(&site))
        .await;
    assert_eq!(answered.status, 503, "{answered:?}");
    assert!(!answered.body.contains("not_known"), "{answered:?}");
}
