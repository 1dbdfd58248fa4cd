// chromium.cjs URL: lets the page of echo_server do its work, and tells whether it went well.
const { chromium } = require('playwright-core');
const fs = require('fs'), os = require('os'), path = require('path');

const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'chromium-'));

(async () => {
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium', headless: true, ignoreHTTPSErrors: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  try {
    const page = await browser.newPage();
    await page.goto(process.argv[2]);
    await page.click('button');
    await page.waitForFunction(() => window.results, null, { timeout: 100000 });
    const results = await page.evaluate(() => window.results);
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
    if (results.length !== 5 || !results.every(Boolean)) {
      throw new Error(await page.evaluate(() => document.body.innerText));
    }
  } finally {
    await browser.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
})().catch((error) => { console.error(error); process.exit(1); });
