// Drives the page of a demo in Chromium, as a person would: `node test.js URL`, with $CHROMIUM. It fails with what is wrong.
// With $SCREENSHOTS, pictures of what was seen are put into that folder.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { Validator } from "@seriousme/openapi-schema-validator";
import { chromium } from "playwright-core";

const url = process.argv[2];
const { CHROMIUM, SCREENSHOTS } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 360, height: 740 };
const DEMO = { user: "beaadmin", password: "beaadmin-pw1", account: "birchdental" };
const ACCOUNT = "3b4563ea9f44c060cb5464e76772d7e3";
const EVIL = "<img src=x onerror=\"document.title='evil'\">";

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });

// A page of a browser of its own, of which nothing may be wrong: no error, nothing from elsewhere, no token in a URL.
async function open(viewport, colorScheme, path = "/docs") {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
  const page = await context.newPage();
  const wrong = [];
  // that an answer is an error is told in the console too, and wanted in some steps
  const isAnswer = (text) => text.startsWith("Failed to load resource");
  page.on("console", (said) => said.type() === "error" && !isAnswer(said.text()) && wrong.push(said.text()));
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) wrong.push(`from elsewhere: ${request.url()}`);
    if (/eyJ|auth_token|api_key|credentials/.test(request.url())) wrong.push(`a secret in ${request.url()}`);
  });
  await page.goto(url + path);
  const end = async () => {
    assert.deepEqual(wrong, []);
    assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
    await context.close();
  };
  return { page, end };
}

async function isAccessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map((node) => node.html).join("\n  ")}`);
  assert.deepEqual(told, [], what);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(overflow <= 0, `${what}: ${overflow} px too wide`);
}

async function picture(page, name) {
  if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `page-${name}.png`), fullPage: true });
}

const row = (page, name) => page.locator("#list button", { hasText: name });
const told = (page, text) => page.locator("#events li", { hasText: text }).first().waitFor();
const isSaid = (page, text) => page.locator("#done", { hasText: text }).waitFor();
const isWrong = (page, text) => page.locator("#failed", { hasText: text }).waitFor();

// Asks the service past the page, as others do meanwhile.
async function aside(method, path, data) {
  const { token } = await (await fetch(`${url}/docs/session`)).json();
  const headers = { "X-Auth-Token": token, "Content-Type": "application/json" };
  const answer = await fetch(`${url}/v2/accounts/${ACCOUNT}/groups${path}`, { method, headers, body: data && JSON.stringify({ data }) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return (await answer.json()).data;
}

// Presses Tab until an element has the focus, which must be seen on all that are passed.
async function tabTo(page, selector) {
  for (let presses = 0; presses < 100; presses += 1) {
    await page.keyboard.press("Tab");
    const { isThere, isSeen, what } = await page.evaluate((wanted) => {
      const focused = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(focused);
      const isBody = focused === document.body;
      return { isThere: focused.matches(wanted), isSeen: isBody || (outlineStyle !== "none" && outlineWidth !== "0px"), what: focused.outerHTML.slice(0, 80) };
    }, selector);
    assert.ok(isSeen, `the focus is not seen on ${what}`);
    if (isThere) return;
  }
  assert.fail(`Tab does not lead to ${selector}`);
}

const tests = {
  async "the document is valid"() {
    const document = await (await fetch(`${url}/openapi.json`)).json();
    const { valid, errors } = await new Validator().validate(document);
    assert.ok(valid, JSON.stringify(errors));
  },

  async "a browser is led to the page, which opens signed in"() {
    const { page, end } = await open(WIDE, "light", "/");
    assert.equal(new URL(page.url()).pathname, "/docs");
    await row(page, "Alpha").first().waitFor();
    assert.equal(await page.inputValue("#account"), ACCOUNT);
    await told(page, "live");
    await end();
  },

  async "groups are created, changed and deleted, and others' changes are seen"() {
    const { page, end } = await open(WIDE, "light");
    await told(page, "live");
    await page.click("#new");
    await page.fill("#json", JSON.stringify({ name: "Clicked", endpoints: {} }));
    await page.click("#save");
    await isSaid(page, "Created: Clicked");
    await told(page, "created");
    await page.fill("#json", JSON.stringify({ name: "Clicked twice", endpoints: {}, flags: ["a"] }));
    await page.click("#save");
    await isSaid(page, "Saved: Clicked twice");
    await told(page, "edited");
    // what somebody else wrote meanwhile is not written over
    const groups = await aside("GET", "?paginate=false");
    const { id } = groups.find(({ name }) => name === "Clicked twice");
    await aside("PATCH", `/${id}`, { flags: ["b"] });
    await page.fill("#json", JSON.stringify({ name: "Clicked thrice", endpoints: {} }));
    await page.click("#save");
    await isWrong(page, "Somebody else changed this group");
    await row(page, "Clicked twice").click();
    await page.waitForFunction(() => document.getElementById("json").value.includes('"b"'));
    await page.fill("#json", "{");
    await page.click("#save");
    await isWrong(page, "not JSON");
    await page.fill("#json", JSON.stringify({ endpoints: {} }));
    await page.click("#save");
    await isWrong(page, "name");
    await page.click("#delete");
    await page.click("#confirm button[value=no]");
    await row(page, "Clicked twice").waitFor();
    await page.click("#delete");
    await page.click("#confirm button[value=yes]");
    await isSaid(page, "Deleted: Clicked twice");
    await told(page, "deleted");
    assert.equal(await row(page, "Clicked twice").count(), 0);
    await end();
  },

  async "what users wrote is text"() {
    const { page, end } = await open(WIDE, "light");
    await told(page, "live");
    const { id } = await aside("PUT", "", { name: EVIL, endpoints: { [EVIL]: { type: "user" } }, flags: [EVIL] });
    await row(page, "onerror").click();
    await page.locator("#dropped li", { hasText: "onerror" }).waitFor();
    assert.equal(await page.textContent("#group-title"), EVIL);
    await aside("DELETE", `/${id}`);
    await told(page, "deleted");
    assert.notEqual(await page.title(), "evil");
    assert.equal(await page.locator("main img").count(), 0);
    await end();
  },

  async "who rings is drawn and told in a table"() {
    const { page, end } = await open(WIDE, "light");
    await row(page, "Alpha").first().click();
    await page.locator("#drawing svg rect").first().waitFor();
    const rows = await page.locator("#rings-table tbody tr").count();
    assert.equal(await page.locator("#drawing svg rect").count(), rows);
    await page.selectOption("#strategy", "weighted_random");
    await page.locator("#rings-failure", { hasText: "rings nobody" }).waitFor();
    await page.selectOption("#strategy", "simultaneous");
    const [first, then] = ["bd9b78548ffcf678f171fca5e5fc48f5", "55f75e13a572c95a8cc43db8e5804654"];
    const endpoints = { [first]: { type: "device", timeout: 15 }, [then]: { type: "device", delay: 10, timeout: 20 } };
    const { id } = await aside("PUT", "", { name: "In turn", endpoints });
    await row(page, "In turn").click();
    await page.locator("#rings-table td", { hasText: "10 s" }).waitFor();
    assert.equal(await page.locator("#drawing svg rect").count(), 2);
    const [one, other] = await page.locator("#drawing svg rect").evaluateAll((bars) => bars.map((bar) => bar.getBBox().x));
    assert.ok(other > one, "what rings later stands further to the right");
    await picture(page, "rings");
    await aside("DELETE", `/${id}`);
    await end();
  },

  async "what uses a group is told beside it, and before it is deleted"() {
    const { page, end } = await open(WIDE, "light");
    await told(page, "live");
    const used = await aside("PUT", "", { name: "Used", endpoints: {} });
    const user = await aside("PUT", "", { name: `Using ${EVIL}`, endpoints: { [used.id]: { type: "group" } } });
    await row(page, /^Used$/).click();
    await page.locator("#uses li", { hasText: "Group Using <img" }).waitFor();
    await page.click("#delete");
    await page.click("#confirm button[value=yes]");
    await page.locator("#confirm-text", { hasText: "is used. Delete it all the same?" }).waitFor();
    assert.match(await page.textContent("#confirm-uses"), /^Group Using/);
    await isAccessible(page, "confirm what is used");
    await picture(page, "used");
    await page.click("#confirm button[value=no]");
    await aside("GET", `/${used.id}`);
    await page.click("#delete");
    await page.click("#confirm button[value=yes]");
    await page.locator("#confirm-text", { hasText: "is used" }).waitFor();
    await page.click("#confirm button[value=yes]");
    await isSaid(page, "Deleted: Used");
    await row(page, "Using").click();
    await page.locator("#unused", { hasText: "Nothing does" }).waitFor();
    assert.equal(await page.locator("#uses li").count(), 0);
    await aside("DELETE", `/${user.id}`);
    await end();
  },

  async "what was deleted is listed with who and when, and restored"() {
    const { page, end } = await open(WIDE, "light");
    await told(page, "live");
    const { id } = await aside("PUT", "", { name: "By mistake", endpoints: {} });
    await aside("DELETE", `/${id}`);
    await tabTo(page, "#show-deleted");
    await page.keyboard.press("Enter");
    const deleted = page.locator("#deleted-table tr", { hasText: "By mistake" });
    await deleted.waitFor();
    const [, , when, who] = await deleted.locator("td").allTextContents();
    assert.ok(when.length > 8 && who.length > 0, `${when}, ${who}`);
    await tabTo(page, '#deleted-table button[aria-label="Restore By mistake"]');
    await page.keyboard.press("Enter");
    await isSaid(page, "Restored: By mistake");
    assert.equal(await deleted.count(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.id), "deleted-title");
    await row(page, "By mistake").click();
    await page.locator("#group-title", { hasText: "By mistake" }).waitFor();
    // what is deleted here is in the list that is shown
    await page.click("#delete");
    await page.click("#confirm button[value=yes]");
    await isSaid(page, "Deleted: By mistake");
    await deleted.waitFor();
    await end();
  },

  async "one signs in as a user, by a key and by a token"() {
    const { page, end } = await open(WIDE, "light");
    await told(page, "live");
    const token = await page.evaluate(() => JSON.parse(sessionStorage.getItem("crossbar-groups")).token);
    await page.click("#sign-out");
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await page.fill("#by-user [name=user]", DEMO.user);
    await page.fill("#by-user [name=password]", "wrong");
    await page.fill("#by-user [name=account]", DEMO.account);
    await page.click("#by-user button");
    await isWrong(page, "401 invalid_credentials");
    await page.fill("#by-user [name=password]", DEMO.password);
    await page.click("#by-user button");
    await isSaid(page, "You are signed in");
    assert.equal(await page.inputValue("#by-user [name=password]"), "");
    await page.click("#sign-out");
    await page.fill("#by-token textarea", "no token");
    await page.click("#by-token button");
    await isWrong(page, "That is no token");
    await page.fill("#by-token textarea", token);
    await page.click("#by-token button");
    await isSaid(page, "The token is used");
    await page.click("#sign-out");
    await page.fill("#by-key input", "fddfb3e4176d98a59a5cc07082d8c97c2a00de59135a61df55b91f5bda741b64");
    await page.click("#by-key button");
    await isSaid(page, "You are signed in");
    await page.fill("#account", "00000000000000000000000000000000");
    await page.keyboard.press("Enter");
    await isWrong(page, "404 bad_identifier");
    await end();
  },

  async "the keyboard alone is enough"() {
    const { page, end } = await open(WIDE, "light");
    await told(page, "live");
    await tabTo(page, "a.skip");
    await page.keyboard.press("Enter");
    await tabTo(page, "#new");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Control+A");
    await page.keyboard.type(JSON.stringify({ name: "Typed", endpoints: {} }));
    await tabTo(page, "#save");
    await page.keyboard.press("Enter");
    await isSaid(page, "Created: Typed");
    await tabTo(page, "#delete");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Shift+Tab");
    assert.equal(await page.evaluate(() => document.activeElement.value), "yes");
    await page.keyboard.press("Enter");
    await isSaid(page, "Deleted: Typed");
    assert.equal(await page.evaluate(() => document.activeElement.id), "new");
    await tabTo(page, "#list button");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement.id === "group-title");
    await tabTo(page, "#strategy");
    await tabTo(page, "#pause");
    await page.keyboard.press("Space");
    await page.locator("#live", { hasText: "paused" }).waitFor();
    await tabTo(page, "#sign-out");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement.name === "user");
    await end();
  },

  async "axe finds nothing, wide and narrow, light and dark"() {
    for (const [width, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
      for (const scheme of ["light", "dark"]) {
        const { page, end } = await open(viewport, scheme);
        const seen = async (what) => {
          await picture(page, `${what}-${width}-${scheme}`);
          await isAccessible(page, `${what}, ${width}, ${scheme}`);
        };
        await told(page, "live");
        await seen("list");
        await row(page, "Alpha").first().click();
        await page.locator("#drawing svg").waitFor();
        await page.click("#show-deleted");
        await page.locator("#deleted-table button").first().waitFor();
        await seen("group");
        await page.click("#delete");
        await isAccessible(page, `confirm, ${width}, ${scheme}`);
        await page.click("#confirm button[value=no]");
        await page.click("#sign-out");
        await seen("sign-in");
        await page.goto(`${url}/docs/reference#listGroups`);
        await page.locator("article").first().waitFor();
        await page.evaluate(() => document.querySelectorAll("#listGroups > details, #createGroup > details").forEach((of) => { of.open = true; }));
        await seen("reference");
        await end();
      }
    }
  },
};

let failures = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`not ok ${name}\n${error.stack}`);
  }
}
await browser.close();
process.exit(failures ? 1 : 0);
