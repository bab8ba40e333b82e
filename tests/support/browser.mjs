// Opens the demo page in a real browser with a fake microphone and reports what it saw as JSON.
//
// Options (JSON, first argument): browser "chromium" | "firefox", url, wav (Chromium's microphone),
// segments (how many finished segments to wait for), results (how many results), timeoutMs,
// screenshot (path), hideAddresses (keep Chromium's mDNS names), ignoreCertificate.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const options = JSON.parse(process.argv[2]);
const timeout = options.timeoutMs ?? 60_000;
const profile = mkdtempSync(join(tmpdir(), "remotemedia-browser-"));

function chromiumFlags() {
  const flags = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
  ];
  if (options.wav) flags.push(`--use-file-for-fake-audio-capture=${options.wav}`);
  if (!options.hideAddresses) flags.push("--disable-features=WebRtcHideLocalIpsWithMdns");
  return flags;
}

const launch = {
  chromium: () => ({
    executablePath: "/usr/bin/chromium",
    args: chromiumFlags(),
  }),
  firefox: () => ({
    browser: "firefox",
    executablePath: "/usr/bin/firefox-esr",
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      "media.peerconnection.ice.loopback": true,
      "media.peerconnection.ice.obfuscate_host_addresses": Boolean(options.hideAddresses),
    },
  }),
}[options.browser]();

const browser = await puppeteer.launch({
  headless: true,
  userDataDir: profile,
  acceptInsecureCerts: Boolean(options.ignoreCertificate),
  ...launch,
});
const consoleErrors = [];
try {
  const page = await browser.newPage();
  await page.setViewport(options.viewport ?? { width: 1280, height: 900 });
  page.on("console", (message) => {
    if (message.type() === "error") consoleErrors.push(message.text());
  });
  page.on("pageerror", (error) => consoleErrors.push(String(error)));
  await page.goto(options.url, { waitUntil: "load", timeout });
  await page.waitForSelector('[data-testid="start"]:not([disabled])', { timeout });
  const clicked = Date.now();
  await page.click('[data-testid="start"]');
  await page.waitForFunction(
    () => document.querySelector('[data-testid="state"]')?.dataset.state === "live",
    { timeout },
  );
  const liveAfterMs = Date.now() - clicked;
  await page.waitForFunction(
    (segments, results) => {
      const seen = window.__remotemedia;
      return seen && seen.segments().length >= segments && seen.results().length >= results;
    },
    { timeout },
    options.segments ?? 0,
    options.results ?? 1,
  );
  if (options.screenshot) await page.screenshot({ path: options.screenshot });
  const report = await page.evaluate(() => ({
    state: document.querySelector('[data-testid="state"]')?.dataset.state,
    segments: window.__remotemedia.segments(),
    results: window.__remotemedia.results(),
    events: document.querySelector('[data-testid="events"]')?.innerText ?? "",
  }));
  await page.click('[data-testid="start"]');
  await page.waitForFunction(
    () => document.querySelector('[data-testid="state"]')?.dataset.state !== "live",
    { timeout },
  );
  console.log(JSON.stringify({ ...report, liveAfterMs, consoleErrors }));
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
