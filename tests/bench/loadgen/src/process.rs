//! CPU time and memory of the server, from /proc: Linux only, like the bench.

use std::fs;

/// The kernel's unit for CPU times in /proc on every Linux that matters (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system CPU seconds of a process with all its threads.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|e| e.to_string())?;
    // The command's name may hold spaces: fields are counted after its closing parenthesis.
    let (_, fields) = text.rsplit_once(") ").ok_or("unexpected /proc/pid/stat")?;
    let ticks: f64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// Resident memory in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .ok_or_else(|| "no VmRSS".to_owned())
}
