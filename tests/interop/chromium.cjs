// chromium.cjs URL VERSION LOG PID [SCREENSHOT]: uses the page of echo_server as a person does, and looks
// at what a person sees, and at the server's log, which knows better. Kills the server in the end.
const assert = require('node:assert/strict');
const fs = require('node:fs'), os = require('node:os'), path = require('node:path');
const { chromium } = require('playwright-core');

const [url, version, log, pid, screenshot] = process.argv.slice(2);
const sockets = 5, mib = screenshot ? 32 : 16;
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'chromium-'));

// The connections of those WebSockets in the server's log that ended so, over this version.
function logged(end) {
  const request = { 'HTTP/1.1': 'HTTP/1.1 GET /echo :protocol=-', 'HTTP/2': 'HTTP/2.0 CONNECT /echo :protocol=websocket' }[version];
  const line = new RegExp(`^connection (\\d+): ${request}: ${end}$`, 'gm');
  return [...fs.readFileSync(log, 'utf8').matchAll(line)].map(([, connection]) => connection);
}

// The browser may know of an end before the log does.
async function assertLogged(end, many) {
  for (let tries = 100; logged(end).length !== many && tries > 0; tries--) await new Promise((later) => setTimeout(later, 50));
  assert.equal(logged(end).length, many, `WebSockets in the log over ${version} that ended with: ${end}`);
}

// What the page says of itself, each part in words.
const status = (page) => page.getByRole('status').textContent();
const rows = (page) => page.getByRole('listitem').evaluateAll((items) => items.map((item) => {
  const text = (name) => item.querySelector(name).textContent;
  const { value, max } = item.querySelector('progress');
  return { version: text('.version'), bytes: text('.bytes'), said: text('.said'), progress: value / max };
}));

async function says(page, how) {
  try {
    await page.getByRole('status').filter({ hasText: how }).waitFor({ timeout: 60000 });
  } catch (error) {
    throw new Error(`${error.message}\nThe page says: ${await page.getByRole('main').innerText()}`);
  }
}

async function start(page, sockets, mib) {
  await page.getByLabel('Sockets').fill(`${sockets}`);
  await page.getByLabel('MiB each').fill(`${mib}`);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Stop' }).and(page.locator(':focus:enabled')).waitFor();
}

const moving = (page) => page.waitForFunction(() =>
  [...document.querySelectorAll('progress')].every((bar) => bar.value > 0 && bar.value < bar.max));

// The points of a chart, and how many pixels of its curve's colour are on the screen.
async function drawn(page, name) {
  const chart = page.getByRole('img', { name });
  await chart.scrollIntoViewIfNeeded();
  const png = (await chart.screenshot()).toString('base64');
  return chart.evaluate(async (svg, png) => {
    const curve = svg.querySelector('.curve'), box = svg.getBoundingClientRect();
    const colour = getComputedStyle(curve).stroke.match(/\d+/g).map(Number);
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d');
    canvas.drawImage(image, 0, 0);
    const pixels = canvas.getImageData(0, 0, image.width, image.height).data;
    let coloured = 0;
    for (let i = 0; i < pixels.length; i += 4) {
      if (colour.every((wanted, c) => Math.abs(pixels[i + c] - wanted) < 24)) coloured++;
    }
    const points = [...curve.points].map(({ x, y }) => ({ x, y }));
    const inside = points.every(({ x, y }) => x >= 0 && x <= box.width && y >= 0 && y <= box.height);
    const said = svg.closest('figure').querySelector('.value').textContent;
    return { points: points.length, inside, heights: new Set(points.map(({ y }) => y)).size, coloured, said };
  }, png);
}

async function assertDrawn(page, name, said) {
  const chart = await drawn(page, name);
  const text = `${name}: ${JSON.stringify(chart)}`;
  assert(chart.points >= 3 && chart.heights >= 3 && chart.inside, text);
  assert(chart.coloured >= 100, text);
  const [number] = chart.said.match(said)?.slice(1) ?? [];
  assert(Number(number) > 0 && Number.isFinite(Number(number)), text);
}

// Nothing sticks out of a narrow screen, in either scheme.
async function assertFits(page) {
  const before = page.viewportSize();
  await page.setViewportSize({ width: 360, height: 800 });
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    // The charts are drawn again in the frame after.
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    const outside = await page.evaluate(() => [...document.querySelectorAll('body, body *:not(script)')].filter((element) =>
      element.getBoundingClientRect().right > 360 || element.getBoundingClientRect().left < 0
      || (!(element instanceof SVGElement) && element.clientWidth && element.scrollWidth > element.clientWidth + 1))
      .map((element) => element.outerHTML.slice(0, 100)));
    assert.deepEqual(outside, [], 'wider than the screen');
  }
  await page.setViewportSize(before);
}

async function done(page) {
  assert.equal(await status(page), 'Ready.');
  await start(page, sockets, mib);
  await says(page, 'Done');
  assert.match(await status(page), new RegExp(`^Done: ${sockets} sockets over ${version} echoed ${sockets * mib} MiB in .* every byte`));
  assert.deepEqual(await rows(page), Array(sockets).fill({
    version, progress: 1, bytes: `${mib} of ${mib} MiB`, said: 'every byte came back as it was sent; closed by both sides',
  }));
  await assertDrawn(page, 'Throughput', /^([\d.]+) MiB\/s mean$/);
  await assertDrawn(page, 'Round-trip time', /^([\d.]+) ms median$/);
  assert.match(await page.getByRole('figure').filter({ hasText: 'Round-trip time' }).innerText(), new RegExp(`runs over ${version}`));
  // Away from the button, whose focus would show.
  await page.getByRole('heading', { level: 1 }).click();
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
  await page.getByRole('img', { name: 'Round-trip time' }).press('ArrowLeft');
  assert.match((await drawn(page, 'Round-trip time')).said, /^[\d.]+ ms at [\d.]+ s$/);
  await assertFits(page);
  // The sockets of the page, and the one that measures round trips.
  await assertLogged(`${mib << 20} bytes echoed`, sockets);
  await assertLogged('.* bytes echoed', sockets + 1);
  if (version === 'HTTP/2') {
    const [, own] = fs.readFileSync(log, 'utf8').match(/^connection (\d+): HTTP\/2.0 GET \/ /m);
    assert.deepEqual([...new Set(logged('.*'))], [own], 'all on the connection of the page');
  }
}

async function stopped(page) {
  await start(page, sockets, 1024);
  await moving(page);
  // A busy page answers a person, but lets a driver wait for seconds: so it is looked at in a pause.
  process.kill(pid, 'SIGSTOP');
  try {
    await says(page, 'nothing has come for');
    await assertFits(page);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await says(page, /^Running\.$/);
  await page.keyboard.press('Enter');
  await says(page, 'Stopped');
  for (const row of await rows(page)) assert.equal(row.said, 'stopped');
  await assertLogged('.* bytes echoed', 2 * (sockets + 1));
  await page.getByRole('button', { name: 'Start' }).and(page.locator(':focus:enabled')).waitFor();
}

// A server that answers otherwise: the page's own sockets go through `answer` (those of workers don't).
async function otherwise(context, answer, expected) {
  const page = await context.newPage();
  await page.routeWebSocket('**/echo', answer);
  await page.goto(url);
  await start(page, 1, 1);
  await says(page, 'Failed');
  assert.match(await status(page), expected);
  await page.close();
}

const serverMemory = () => Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/)[1]) * 1024;

// A browser that writes 64 MiB and doesn't read: the echo stops, and the server holds no more of it than
// flow control allows. Once it reads, everything is there. (`WebSocketStream` waits, `WebSocket` doesn't.)
async function unread(page) {
  const total = 64 << 20, before = serverMemory();
  const stalled = await page.evaluate(async (total) => {
    const stream = window.stream = new WebSocketStream(location.origin.replace('http', 'ws') + '/echo');
    const { readable, writable } = await stream.opened;
    window.readable = readable;
    const writer = writable.getWriter(), piece = new Uint8Array(64 << 10);
    let written = 0;
    (async () => {
      for (; written < total; written += piece.length) await writer.write(piece.fill(written >> 16));
    })();
    for (let seen = -1; seen !== written;) {
      seen = written;
      await new Promise((later) => setTimeout(later, 1500));
    }
    return written;
  }, total);
  const held = serverMemory() - before;
  const found = `${stalled >> 20} MiB were taken from a browser that doesn't read, ${(held / (1 << 20)).toFixed(1)} MiB held`;
  if (process.env.VERBOSE) console.log(found);
  assert(stalled > 0 && stalled < total / 2, found);
  assert(held < 12 << 20, found);
  // Closing before that would drop what is still to come: browsers have no half-close.
  const read = await page.evaluate(async (total) => {
    let received = 0, same = true;
    for await (const chunk of window.readable) {
      for (const byte of new Uint8Array(chunk)) same &&= byte === (received++ >> 16 & 255);
      if (received >= total) window.stream.close({ closeCode: 1000 });
    }
    const { closeCode } = await window.stream.closed;
    return { received, same, closeCode };
  }, total);
  assert.deepEqual(read, { received: total, same: true, closeCode: 1000 });
  await assertLogged(`${total} bytes echoed`, 1);
}

async function killed(page) {
  await start(page, sockets, 1024);
  await moving(page);
  process.kill(pid, 'SIGKILL');
  await says(page, `Failed: ${sockets} of ${sockets} sockets`);
  for (const row of await rows(page)) assert.equal(row.said, 'lost its connection: the server is gone');
  await assertFits(page);
  await page.getByRole('button', { name: 'Start' }).click();
  await says(page, 'could not be opened');
  for (const row of await rows(page)) assert.equal(row.said, 'could not be opened: the server is gone, or refused it');
}

(async () => {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium', headless: true, ignoreHTTPSErrors: true,
    viewport: { width: 900, height: 760 }, colorScheme: 'light',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  try {
    const page = await context.newPage(), errors = [];
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && errors.push(message.text()));
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(url);
    await done(page);
    await stopped(page);
    assert.deepEqual(errors, []);

    await otherwise(context, (socket) => {
      const server = socket.connectToServer();
      server.onMessage((message) => { message[message.length - 1] ^= 1; socket.send(message); });
    }, /got another byte at \d+ than it sent/);
    await otherwise(context, (socket) => socket.onMessage(() => socket.close({ code: 1011, reason: 'enough' })),
      /was closed by the server too early, with 1011 enough/);

    await unread(page);
    await killed(page);
    assert.deepEqual(errors.filter((error) => !/^WebSocket connection to .* failed/.test(error)), []);
  } finally {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
})().catch((error) => { console.error(error); process.exit(1); });
