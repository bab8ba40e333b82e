// Takes pictures of the page in its states, to be looked at: node tests/look.mjs OUT_FOLDER MICROPHONE.wav
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { openChromium } from './browser.mjs';
import { Standin } from './standin/server.mjs';

const [out = 'shots', microphone, only = ''] = process.argv.slice(2);
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 800, deviceScaleFactor: 2 };

const standin = new Standin();
const port = await standin.listen(0);
const { browser, close } = await openChromium(microphone ? { microphone } : {});

/**
 * @param {string} name
 * @param {{ path?: string, viewport?: import('puppeteer-core').Viewport, dark?: boolean, still?: boolean }} options
 * @param {(page: import('puppeteer-core').Page, shoot: (suffix?: string) => Promise<void>) => Promise<void>} act
 */
async function scene(name, { path = '/mic-python', viewport = WIDE, dark = false, still = false }, act) {
  if (!name.includes(only)) return;
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warn') console.log(name, message.type(), message.text());
  });
  page.on('pageerror', (error) => {
    console.log(name, 'pageerror', String(error));
  });
  await page.setViewport(viewport);
  await page.emulateMediaFeatures([
    { name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' },
    { name: 'prefers-reduced-motion', value: still ? 'reduce' : 'no-preference' },
  ]);
  await page.goto(`http://127.0.0.1:${port}${path}`);
  await act(page, async (suffix = '') => {
    await page.screenshot({ path: /** @type {`${string}.png`} */ (join(out, `${name}${suffix}.png`)), fullPage: true });
  });
  await context.close();
}

/** @param {import('puppeteer-core').Page} page @param {string} state */
async function reach(page, state) {
  await page.waitForSelector(`[data-testid="state"][data-state="${state}"]`, { timeout: 10_000 });
}

/** @param {import('puppeteer-core').Page} page */
async function goLive(page) {
  await page.waitForSelector('[data-testid="start"]:not([disabled])');
  await page.click('[data-testid="start"]');
  await reach(page, 'live');
}

await scene('idle', {}, async (page, shoot) => {
  await page.waitForSelector('[data-testid="start"]:not([disabled])');
  await shoot();
});
for (const dark of [false, true]) {
  await scene(`live-${dark ? 'dark' : 'light'}`, { dark }, async (page, shoot) => {
    await goLive(page);
    await sleep(15_000);
    const box = await (await page.$('#timeline'))?.boundingBox();
    if (box && !dark) await page.mouse.move(box.x + box.width * 0.62, box.y + 80);
    await sleep(300);
    await shoot();
    if (dark) {
      await page.click('[data-testid="figure-latency"]');
      await sleep(200);
      await shoot('-details');
    }
  });
}
for (const [name, viewport, dark] of /** @type {const} */ ([['sound', WIDE, false], ['sound-phone', PHONE, true]])) {
  await scene(name, { path: '/echo', viewport, dark }, async (page, shoot) => {
    await goLive(page);
    await page.waitForFunction("document.querySelector('[data-testid=player]').currentTime > 1", { timeout: 10_000 });
    await sleep(3_000);
    await shoot();
    await page.focus('[data-testid="volume"]');
    await page.keyboard.press('ArrowLeft');
    await page.click('[data-testid="mute"]');
    await page.click('[data-testid="figure-latency"]');
    await sleep(1_000);
    await shoot('-muted');
  });
}
for (const [name, viewport, dark] of /** @type {const} */ ([['data', WIDE, false], ['data-phone', PHONE, true]])) {
  await scene(name, { path: '/text', viewport, dark }, async (page, shoot) => {
    await page.waitForSelector('[data-testid="start"]:not([disabled])');
    await shoot('-idle');
    await goLive(page);
    for (const text of ['hello', '{"text": "grüße"}', '{"number": 7}']) {
      await page.type('[data-testid="data-text"]', text);
      await page.keyboard.press('Enter');
      await sleep(300);
    }
    await page.type('[data-testid="data-text"]', 'the next one');
    await sleep(300);
    await shoot();
  });
}
await scene('data-beside', { path: '/mic-python' }, async (page, shoot) => {
  await goLive(page);
  await page.click('[data-testid="data"] > summary');
  await sleep(2_000);
  await shoot();
});
await scene('phone', { viewport: PHONE }, async (page, shoot) => {
  await goLive(page);
  await sleep(9_000);
  await shoot();
});
await scene('wide', { viewport: { width: 1920, height: 1080 }, path: '/mic-level', dark: true }, async (page, shoot) => {
  await goLive(page);
  await sleep(12_000);
  await shoot();
});
await scene('errors', { path: '/failing' }, async (page, shoot) => {
  await goLive(page);
  await sleep(8_000);
  await page.click('[data-testid="start"]');
  await shoot();
});
await scene('unknown', { path: '/nope' }, async (page, shoot) => {
  await reach(page, 'failed');
  await shoot();
});
await scene('full', {}, async (page, shoot) => {
  standin.mode = 'full';
  await page.waitForSelector('[data-testid="start"]:not([disabled])');
  await page.click('[data-testid="start"]');
  await reach(page, 'failed');
  await shoot();
  standin.mode = 'normal';
  await reach(page, 'live');
});
await scene('gone', { viewport: PHONE, dark: true }, async (page, shoot) => {
  await goLive(page);
  await sleep(4_000);
  await standin.close();
  await reach(page, 'failed');
  await sleep(1_500);
  await shoot();
  const back = performance.now();
  await standin.listen(port);
  await reach(page, 'live');
  console.log(`back after ${(performance.now() - back).toFixed(0)} ms`);
  await sleep(2_000);
  await shoot('-back');
});
await scene('join', {}, async (page, shoot) => {
  await goLive(page);
  const link = await page.$eval('#join-link', (element) => element.getAttribute('href') ?? '');
  const other = await page.browserContext().newPage();
  await other.goto(link);
  await other.waitForSelector('[data-testid="start"]:not([disabled])');
  await other.screenshot({ path: /** @type {`${string}.png`} */ (join(out, 'join-invited.png')) });
  await other.select('[data-testid="source"]', 'microphone');
  await other.click('[data-testid="start"]');
  await sleep(8_000);
  await other.screenshot({ path: /** @type {`${string}.png`} */ (join(out, 'join-other.png')), fullPage: true });
  await page.bringToFront();
  await shoot();
});
await close();
const denied = await openChromium({ deny: true });
const page = await denied.browser.newPage();
await page.setViewport(PHONE);
await page.goto(`http://127.0.0.1:${port}/mic-vad`);
await page.waitForSelector('[data-testid="start"]:not([disabled])');
await page.click('[data-testid="start"]');
await reach(page, 'failed');
await page.screenshot({ path: /** @type {`${string}.png`} */ (join(out, 'denied.png')) });
await denied.close();
await standin.close();
process.exit(0);
