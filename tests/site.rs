//! A console to visit: a broker as its own process, registers in step, and nodes with their pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use hitmachine_console::Console;
use hitmachine_node::accounts::{Roles, User};
use hitmachine_node::config::ConsoleSection;
use hitmachine_node::{Node, NodeConfig};
use hitmachine_testkit::process::BrokerProcess;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::world::World;

/// A world with a running broker, all registers in step.
pub struct Site {
    /// The installation.
    pub world: World,
    /// Its broker.
    pub broker: Option<BrokerProcess>,
}

/// One organisation's console.
pub struct Desk {
    /// Its node.
    pub node: Arc<Node>,
    /// How to reach the pages, without a slash at the end.
    pub url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Site {
    /// Small registers, all of them in the index.
    pub fn open(seed: u64) -> Self {
        let world = World::new(seed);
        let broker = world.broker();
        world.sync_all();
        Self {
            world,
            broker: Some(broker),
        }
    }

    /// The console of a partner.
    pub async fn desk(&self, partner: &str) -> Desk {
        self.desk_with(partner, |_| ()).await
    }

    /// The same with settings of one's own.
    pub async fn desk_with(&self, partner: &str, change: impl FnOnce(&mut NodeConfig)) -> Desk {
        let mut config = NodeConfig::load(&self.world.deployment.node_config(partner)).unwrap();
        config.broker.address = self.world.address.to_string();
        config.console = Some(ConsoleSection {
            listen: ([127, 0, 0, 1], 0).into(),
            ..config.console.unwrap_or_default()
        });
        change(&mut config);
        let node = Arc::new(Node::open(config).await.unwrap());
        let console = Console::bind(Arc::clone(&node)).await.unwrap().unwrap();
        let url = console.url().to_owned();
        let (follower, live) = (Arc::clone(&node), Arc::clone(&node));
        // As `serve` does, without its socket.
        let serving = tokio::spawn(async move {
            let served = tokio::join!(follower.follow_notices(), live.answer_live(), console.serve());
            served.2.unwrap();
        });
        Desk { node, url, serving }
    }
}

/// What a role may do in the made-up covenant.
pub fn roles(asks_as: Option<&str>, officer: bool, administers: bool) -> Roles {
    Roles {
        asks_as: asks_as.map(Into::into),
        reviews_as: officer.then(|| "privacyfunctionaris".into()),
        administers,
    }
}

impl Desk {
    /// Adds an account.
    pub fn account(&self, id: &str, roles: Roles) {
        let name = format!("{id} van Test");
        let user = User {
            id: id.into(),
            name,
            roles,
        };
        self.node.accounts().add(&user).unwrap();
    }

    /// Signs in past the form; what to send as a cookie.
    pub fn session(&self, id: &str) -> (String, String) {
        let token = self.node.accounts().begin_session(id).unwrap();
        let name = format!("__Host-hitmachine-{}", self.node.config().partner);
        (name, token.expose_text())
    }

    /// A visitor without a browser, signed in.
    pub fn visitor(&self, id: &str) -> Visitor {
        let (name, value) = self.session(id);
        Visitor::of(self.url.clone(), Some(format!("{name}={value}")))
    }

    /// A visitor without a browser who has not signed in.
    pub fn stranger(&self) -> Visitor {
        Visitor::of(self.url.clone(), None)
    }
}

/// Somebody who visits pages without a browser.
#[derive(Clone)]
pub struct Visitor {
    /// Of the console.
    pub url: String,
    /// Sent along.
    pub cookie: Option<String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A page as it came.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: hyper::HeaderMap,
    /// Body.
    pub body: String,
}

impl Answered {
    /// A header's text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of the last hidden field of this name: the layout's own forms come before those of a page.
    pub fn hidden(&self, name: &str) -> String {
        let at = self
            .body
            .split(&format!("name=\"{name}\" value=\""))
            .skip(1)
            .last();
        let at = at.unwrap_or_else(|| panic!("no field {name} in {}", self.body));
        at.split('"').next().unwrap().to_owned()
    }
}

impl Visitor {
    /// Of a console at `url`, with this cookie.
    pub fn of(url: String, cookie: Option<String>) -> Self {
        Self {
            url,
            cookie,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Keeps the cookies of an answer, as a browser does; `Max-Age=0` takes one away.
    pub fn keep(&mut self, answered: &Answered) {
        let held = self.cookie.take().unwrap_or_default();
        let mut held: BTreeMap<String, String> = held
            .split("; ")
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for line in answered.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                held.remove(name);
            } else {
                held.insert(name.to_owned(), value.to_owned());
            }
        }
        let pairs: Vec<String> = held
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        self.cookie = (!pairs.is_empty()).then(|| pairs.join("; "));
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Answered {
        self.send("GET", path, &[], "").await
    }

    /// Sends a form.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answered {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
            ("origin", self.url.as_str()),
        ];
        self.send("POST", path, &headers, &body).await
    }

    /// Opens the page of a form, and sends its `csrf` along with these fields.
    pub async fn fill(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answered {
        let csrf = self.get(page).await.hidden("csrf");
        let fields = [&[("csrf", csrf.as_str())], fields].concat();
        self.post(path, &fields).await
    }

    /// Sends a form with a file named `list`; the fields come before it, in this order.
    pub async fn upload(&self, path: &str, fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Answered {
        const LINE: &str = "hitmachine-test-boundary-7c1f";
        let mut body = Vec::new();
        for (name, value) in fields {
            let part =
                format!("--{LINE}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        if let Some((name, bytes)) = file {
            let head = format!(
                "--{LINE}\r\ncontent-disposition: form-data; name=\"list\"; filename=\"{name}\"\r\n\
                 content-type: application/octet-stream\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{LINE}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={LINE}");
        let headers = [
            ("content-type", kind.as_str()),
            ("sec-fetch-site", "same-origin"),
            ("origin", self.url.as_str()),
        ];
        self.send_bytes("POST", path, &headers, body).await
    }

    /// Any request.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        self.send_bytes(method, path, headers, body.as_bytes().to_vec())
            .await
    }

    async fn send_bytes(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answered {
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body)).unwrap();
        let response = self.client.request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answered {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}
