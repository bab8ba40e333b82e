//! The one HTTP call that a client makes, on a thread of its own so that media is not held up.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde::Deserialize;

/// An offer to send, and whose it is.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) client: usize,
    pub(crate) sdp: String,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) client: usize,
    pub(crate) answer: Result<Answer, String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) sdp: String,
    pub(crate) session_id: String,
}

/// Starts the thread; it ends when the sender is dropped.
pub(crate) fn start(url: &str, pipeline: &str) -> (Sender<Request>, Receiver<Response>) {
    let (requests, inbox) = channel::<Request>();
    let (outbox, responses) = channel();
    let address = url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let pipeline = pipeline.to_owned();
    std::thread::spawn(move || {
        for request in inbox {
            let answer = post(&address, &pipeline, &request.sdp);
            if outbox
                .send(Response {
                    client: request.client,
                    answer,
                })
                .is_err()
            {
                return;
            }
        }
    });
    (requests, responses)
}

fn post(address: &str, pipeline: &str, sdp: &str) -> Result<Answer, String> {
    let body = serde_json::json!({"sdp": sdp, "type": "offer", "pipeline": pipeline}).to_string();
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    write!(
        stream,
        "POST /api/offer HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .map_err(|error| error.to_string())?;
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!(
            "{}: {body}",
            head.lines().next().unwrap_or_default()
        ));
    }
    serde_json::from_str(body).map_err(|error| error.to_string())
}
