// Drives a browser with a fake microphone: one command a line of standard input (JSON), one reply a
// line of standard output, in order. See browser.py for the commands. The browser ends with the input.
//
// Options (JSON, first argument): browser "chromium" | "firefox", profile (a folder), wav (what
// Chromium's microphone says, over and over), hideAddresses (mDNS names), denyMicrophone,
// ignoreCertificate, hosts (Chromium: names that lead to 127.0.0.1).
import { createInterface } from "node:readline";
import axe from "axe-core";
import puppeteer from "puppeteer-core";

const options = JSON.parse(process.argv[2]);
// A condition is looked at this often.
const POLL_MS = 25;

const LAUNCH = {
  chromium: () => ({
    executablePath: "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      "--use-fake-device-for-media-stream",
      "--allow-loopback-in-peer-connection",
      "--autoplay-policy=no-user-gesture-required",
      options.denyMicrophone ? "--deny-permission-prompts" : "--use-fake-ui-for-media-stream",
      ...(options.wav ? [`--use-file-for-fake-audio-capture=${options.wav}`] : []),
      ...(options.hideAddresses ? [] : ["--disable-features=WebRtcHideLocalIpsWithMdns"]),
      ...(options.hosts ?? []).map((name) => `--host-resolver-rules=MAP ${name} 127.0.0.1`),
    ],
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
};

const browser = await puppeteer.launch({
  headless: true,
  userDataDir: options.profile,
  acceptInsecureCerts: Boolean(options.ignoreCertificate),
  ...LAUNCH[options.browser](),
});
const pages = [];

const COMMANDS = {
  async open({ url, viewport, dark, timeoutMs }) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    const errors = [];
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(message.text());
    });
    page.on("pageerror", (error) => errors.push(String(error)));
    if (viewport) await page.setViewport(viewport);
    if (dark !== undefined) {
      const value = dark ? "dark" : "light";
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
    }
    pages.push({ page, context, errors });
    await page.goto(url, { waitUntil: "load", timeout: timeoutMs });
    return pages.length - 1;
  },
  click: ({ page, selector }) => pages[page].page.click(selector),
  press: ({ page, key }) => pages[page].page.keyboard.press(key),
  type: ({ page, selector, text }) => pages[page].page.type(selector, text),
  select: ({ page, selector, value }) => pages[page].page.select(selector, value),
  evaluate: ({ page, expression }) => pages[page].page.evaluate(expression),
  wait: async ({ page, condition, timeoutMs }) => {
    await pages[page].page.waitForFunction(condition, { polling: POLL_MS, timeout: timeoutMs });
    return performance.now();
  },
  audit: async ({ page }) => {
    await pages[page].page.evaluate(axe.source);
    return pages[page].page.evaluate(async () => {
      const { violations } = await axe.run();
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target)}`);
    });
  },
  now: () => performance.now(),
  errors: ({ page }) => pages[page].errors,
  screenshot: ({ page, path, fullPage }) =>
    pages[page].page.screenshot({ path, fullPage: Boolean(fullPage) }).then(() => undefined),
  close: ({ page }) => pages[page].context.close(),
};

try {
  console.log(JSON.stringify({ value: await browser.version() }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { command, ...given } = JSON.parse(line);
    const reply = await Promise.resolve(COMMANDS[command](given)).then(
      (value) => ({ value: value ?? null }),
      (error) => ({ error: String(error) }),
    );
    console.log(JSON.stringify(reply));
  }
} finally {
  await browser.close();
}
