//! Keeps every message of every stream, for a test to judge.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::client::Stage;
use crate::{Generator, PACKET_INTERVAL};

/// What one stream sent and got: a line of the file.
#[derive(Serialize)]
struct Line<'a> {
    track: usize,
    session: &'a str,
    connected: bool,
    sent: u32,
    messages: Vec<&'a str>,
}

impl Generator {
    /// Sends everything, says so on standard output, stays connected until standard input ends,
    /// and writes what came.
    pub(crate) fn record(&mut self, path: &Path) -> Result<(), String> {
        while !self.due.is_empty() {
            self.step(PACKET_INTERVAL)?;
        }
        println!("sent");
        std::io::stdout()
            .flush()
            .map_err(|error| error.to_string())?;
        let released = when_released();
        while !released.load(Ordering::Relaxed) {
            self.step(PACKET_INTERVAL)?;
        }
        let mut file = BufWriter::new(File::create(path).map_err(|error| error.to_string())?);
        for (index, client) in self.clients.iter().enumerate() {
            let line = Line {
                track: index % self.tracks.len(),
                session: &client.session,
                connected: client.stage == Stage::Open,
                sent: client.sent,
                messages: client.recorded()?,
            };
            serde_json::to_writer(&mut file, &line).map_err(|error| error.to_string())?;
            file.write_all(b"\n").map_err(|error| error.to_string())?;
        }
        file.flush().map_err(|error| error.to_string())?;
        self.close_all();
        Ok(())
    }
}

/// True as soon as standard input has ended.
fn when_released() -> Arc<AtomicBool> {
    let released = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&released);
    std::thread::spawn(move || {
        // Whatever ends it, an error too: nobody is there any more.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    released
}
