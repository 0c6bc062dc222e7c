//! Servers that replay recorded exchanges: each answers the requests of a text, in its order over all of the servers, and
//! refuses every other one, with a header or a body that is not in the text, or at another time.
//!
//! The text holds exchanges, divided by lines that are `###`:
//!
//! ```text
//! # A comment.
//! > registry GET /v2/team/web/tags/list?n=1000
//! > authorization: Basic cm9ib3Q6c2VjcmV0
//! < 200
//! < link: </v2/team/web/tags/list?last=b>; rel="next"
//! {"name":"team/web","tags":["a","b"]}
//! ###
//! > api POST /v2/auth/token
//! > content-type: application/json
//! >
//! > {"identifier":"acme","secret":"s3cret"}
//! < 429
//! < retry-after: 7
//! ```
//!
//! `{NAME}` stands for the URL of the server with this name, wherever it stands. A header whose value ends with `*` may have
//! any that begins so, as signatures do: `authorization: *` has to be there, whatever it is. Headers that say nothing of who
//! asks need not stand there: `host`, `user-agent`, `accept`, `accept-encoding`, `content-length`, `content-type`, and those
//! in which the SDK of AWS tells of itself and its tries.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Bytes that a request may send.
const REQUEST_LIMIT: usize = 1 << 20;

/// Headers that need not stand in the text.
const PLAIN: [&str; 9] = [
    "host",
    "user-agent",
    "accept",
    "accept-encoding",
    "content-length",
    "content-type",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "x-amz-user-agent",
];

/// Servers that replay the exchanges of one text.
pub struct Replay {
    servers: Vec<(String, SocketAddr, AbortHandle)>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    left: VecDeque<Exchange>,
    done: usize,
    violations: Vec<String>,
}

/// A request that is expected, and its answer.
#[derive(Clone, Debug, Default)]
struct Exchange {
    server: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    status: u16,
    answer_headers: Vec<(String, String)>,
    answer: String,
}

impl Replay {
    /// Starts a server of each name that stands in `text`, and in `besides`, on free ports of the loopback address.
    ///
    /// # Errors
    /// When no port can be listened to.
    ///
    /// # Panics
    /// Where `text` is not of the form that is described above.
    pub async fn start(text: &str, besides: &[&str]) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let names: Vec<String> = parse(text).into_iter().map(|exchange| exchange.server).collect();
        let mut servers: Vec<(String, SocketAddr, AbortHandle)> = Vec::new();
        for name in names.iter().map(String::as_str).chain(besides.iter().copied()) {
            if servers.iter().any(|(known, ..)| known == name) {
                continue;
            }
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let router = router(name.to_owned(), Arc::clone(&state));
            let serving = tokio::spawn(std::future::IntoFuture::into_future(axum::serve(listener, router)));
            servers.push((name.to_owned(), address, serving.abort_handle()));
        }
        let replay = Self { servers, state };
        replay.add(text);
        Ok(replay)
    }

    /// The URL of the server with this name: `http://127.0.0.1:PORT`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn url(&self, name: &str) -> String {
        let found = self.servers.iter().find(|(known, ..)| known == name);
        let (_, address, _) = found.unwrap_or_else(|| panic!("no server has the name {name}"));
        format!("http://{address}")
    }

    /// Expects the exchanges of `text` after those that are left. Servers that it names have to be there.
    ///
    /// # Panics
    /// Where `text` is not of the form that is described above.
    pub fn add(&self, text: &str) {
        let text = self.filled(text);
        lock(&self.state).left.extend(parse(&text));
    }

    /// `text` with the URLs of the servers.
    pub fn filled(&self, text: &str) -> String {
        self.servers.iter().fold(text.to_owned(), |text, (name, address, _)| {
            text.replace(&format!("{{{name}}}"), &format!("http://{address}"))
        })
    }

    /// How many requests were answered.
    pub fn requests(&self) -> usize {
        lock(&self.state).done
    }

    /// Checks that every exchange was made, and no other.
    ///
    /// # Panics
    /// When one is left, or another was tried.
    pub fn assert_done(&self) {
        let state = lock(&self.state);
        assert_eq!(state.violations, Vec::<String>::new(), "after {} exchanges", state.done);
        let left: Vec<String> = state
            .left
            .iter()
            .map(|left| format!("{} {} {}", left.server, left.method, left.target))
            .collect();
        assert_eq!(left, Vec::<String>::new(), "these were not asked for");
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.servers.iter().for_each(|(_, _, server)| server.abort());
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn router(name: String, state: Arc<Mutex<State>>) -> Router {
    Router::new().fallback(move |request: Request| {
        let (name, state) = (name.clone(), Arc::clone(&state));
        async move { answer(&name, &state, request).await }
    })
}

async fn answer(name: &str, state: &Mutex<State>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let body = axum::body::to_bytes(body, REQUEST_LIMIT).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let mut state = lock(state);
    let asked = format!("{name} {} {target}", parts.method);
    let Some(expected) = state.left.front().cloned() else {
        state.violations.push(format!("{asked}: nothing more is expected"));
        return refused();
    };
    let wanted = format!("{} {} {}", expected.server, expected.method, expected.target);
    let wrong = if asked == wanted {
        wrong_headers(&expected, &parts.headers).or_else(|| wrong_body(&expected, &body))
    } else {
        Some(format!("{wanted} is expected"))
    };
    if let Some(wrong) = wrong {
        state.violations.push(format!("{asked}: {wrong}"));
        return refused();
    }
    state.left.pop_front();
    state.done += 1;
    drop(state);
    let mut response = Response::builder().status(expected.status);
    for (name, value) in &expected.answer_headers {
        response = response.header(name, value);
    }
    response.body(Body::from(expected.answer)).unwrap_or_else(|_| refused())
}

/// A status that no client takes for an answer of a registry, or for a reason to try again.
fn refused() -> Response {
    let mut response = Response::new(Body::from("the replay expects another request"));
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    response
}

fn wrong_headers(expected: &Exchange, headers: &HeaderMap) -> Option<String> {
    let missing = expected.headers.iter().find(|(name, expected)| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        !value.is_some_and(|value| match expected.strip_suffix('*') {
            Some(beginning) => value.starts_with(beginning),
            None => value == expected,
        })
    });
    if let Some((name, value)) = missing {
        return Some(format!("the header {name} is {:?} and not {value:?}", headers.get(name)));
    }
    let known = |name: &str| PLAIN.contains(&name) || expected.headers.iter().any(|(known, _)| known == name);
    let unknown = headers.keys().find(|name| !known(name.as_str()))?;
    Some(format!("the header {unknown} is not expected: {:?}", headers.get(unknown)))
}

fn wrong_body(expected: &Exchange, body: &str) -> Option<String> {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    let same = match (json(&expected.body), json(body)) {
        (Some(expected), Some(body)) => expected == body,
        _ => expected.body.trim_end() == body.trim_end(),
    };
    (!same).then(|| format!("it sends {body:?} and not {:?}", expected.body))
}

/// The exchanges of a text.
fn parse(text: &str) -> Vec<Exchange> {
    let blocks = text.split("\n###");
    blocks.map(|block| block.trim_matches('\n')).filter(|block| !is_empty(block)).map(exchange).collect()
}

fn is_empty(block: &str) -> bool {
    block.lines().all(|line| line.trim().is_empty() || line.starts_with('#'))
}

/// Which part of an exchange a line belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Request,
    RequestBody,
    Answer,
    AnswerBody,
}

fn exchange(block: &str) -> Exchange {
    let mut found = Exchange::default();
    let mut part = Part::Request;
    for line in block.lines() {
        if part == Part::AnswerBody {
            found.answer.push_str(line);
            found.answer.push('\n');
        } else if let Some(line) = line.strip_prefix('>') {
            request_line(&mut found, &mut part, line.strip_prefix(' ').unwrap_or(line));
        } else if let Some(line) = line.strip_prefix("< ") {
            if part == Part::Answer {
                found.answer_headers.push(header(line));
            } else {
                found.status = line.trim().parse().unwrap_or_else(|_| panic!("no status: {line:?}"));
                part = Part::Answer;
            }
        } else if part == Part::Answer {
            part = Part::AnswerBody;
            found.answer = format!("{line}\n");
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "neither request nor answer: {line:?}");
        }
    }
    // The last newline is that of the text.
    found.answer.pop();
    assert!(!found.method.is_empty() && found.status != 0, "no exchange: {block:?}");
    found
}

fn request_line(found: &mut Exchange, part: &mut Part, line: &str) {
    if *part == Part::RequestBody {
        found.body.push_str(line);
        found.body.push('\n');
    } else if found.method.is_empty() {
        let words: Vec<&str> = line.split(' ').collect();
        let [server, method, target] = words[..] else { panic!("no SERVER METHOD PATH: {line:?}") };
        (found.server, found.method, found.target) =
            (server.to_owned(), method.to_owned(), target.to_owned());
    } else if line.is_empty() {
        *part = Part::RequestBody;
    } else {
        found.headers.push(header(line));
    }
}

fn header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
    (name.to_ascii_lowercase(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_holds_exchanges_divided_by_lines() {
        let text = "# about\n> a GET /x?y=1\n> authorization: Basic eA==\n< 200\n< link: </z>; rel=next\n{\n\n}\n###\n\
                    > b POST /t\n>\n> one\n> two\n< 429\n";
        let [first, second] = &parse(text)[..] else { panic!("two") };
        assert_eq!((first.server.as_str(), first.target.as_str(), first.status), ("a", "/x?y=1", 200));
        assert_eq!(first.headers, [("authorization".to_owned(), "Basic eA==".to_owned())]);
        assert_eq!((first.answer.as_str(), first.answer_headers.len()), ("{\n\n}", 1));
        assert_eq!((second.body.as_str(), second.status, second.answer.as_str()), ("one\ntwo\n", 429, ""));
    }

    #[test]
    fn a_header_may_be_known_by_its_beginning_alone_and_has_to_be_there() {
        let [expected] = &parse("> a POST /\n> authorization: AWS4 Credential=A/*\n> x-date: *\n< 200\n")[..]
        else {
            panic!("one")
        };
        let wrong = |pairs: &[(&str, &str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            wrong_headers(expected, &headers.collect()).is_some()
        };
        assert!(!wrong(&[("authorization", "AWS4 Credential=A/20261121"), ("x-date", "20261121")]));
        assert!(wrong(&[("authorization", "AWS4 Credential=B/20261121"), ("x-date", "20261121")]));
        assert!(wrong(&[("authorization", "AWS4 Credential=A/20261121")]));
    }

    #[test]
    fn another_header_or_body_is_wrong() {
        let [expected] = &parse("> a POST /t\n> authorization: Bearer x\n>\n> {\"a\": 1}\n< 200\n")[..]
        else {
            panic!("one")
        };
        let headers = |pairs: &[(&str, &str)]| -> HeaderMap {
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            headers.collect()
        };
        let right = headers(&[("authorization", "Bearer x"), ("host", "h")]);
        assert_eq!(wrong_headers(expected, &right), None);
        assert!(wrong_headers(expected, &headers(&[("authorization", "Bearer y")])).is_some());
        assert!(wrong_headers(expected, &headers(&[])).is_some());
        let more = headers(&[("authorization", "Bearer x"), ("x-key", "k")]);
        assert!(wrong_headers(expected, &more).is_some());
        assert_eq!(wrong_body(expected, r#"{"a":1}"#), None);
        assert!(wrong_body(expected, r#"{"a":2}"#).is_some() && wrong_body(expected, "").is_some());
    }
}
