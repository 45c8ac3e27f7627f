// The session that two pages play in is drained: they go on in another one, and
// only a line of words says so.
import assert from "node:assert/strict";
import { test } from "node:test";
import { addr, clean, open, place, playing, sees, session, shot, stats, walk } from "./page.mjs";

/** Does what only operators may. */
async function operate(path, body) {
  const post = (path, body, token) => fetch(addr + path, {
    method: "POST", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
  });
  const { access_token } = await (await post("/v1/dev/token", { player: "operator", role: "operator" })).json();
  const answer = await post(path, body, access_token);
  assert.equal(answer.status, 204, await answer.text());
}

test("a drained session's players go on in another one", { timeout: 90_000 }, async (t) => {
  const ivy = await open(t, "ivy");
  await place(ivy, "starter").waitFor();
  await ivy.getByLabel("Place", { exact: true }).selectOption("starter");
  await ivy.getByRole("button", { name: "open one of your own" }).click();
  await playing(ivy);
  const code = await ivy.locator(".code b").textContent();
  const jon = await open(t, "jon", { at: `/?transport=websocket#private=starter.${code}` });
  await playing(jon);
  const pages = [ivy, jon];
  for (const page of pages) {
    await page.evaluate(() => {
      const game = document.querySelector(".game");
      window.seen = [];
      new MutationObserver(() => window.seen.push(`${game.dataset.state}: ${document.querySelector(".note:not([hidden])")?.textContent ?? ""}`))
        .observe(game, { attributes: true, attributeFilter: ["data-state"] });
    });
  }
  const was = await session(ivy);
  assert.equal(await session(jon), was);
  await operate(`/v1/sessions/${was}/drain`, { reason: "update" });
  for (const page of pages) {
    await page.waitForFunction((was) => window.throng.welcome.session !== was, was);
    await playing(page);
    assert.equal((await stats(page)).handoffs, 1);
    assert.equal((await stats(page)).reconnects, 0);
    const seen = await page.evaluate(() => window.seen);
    assert.ok(seen.every((s) => /^(moving|playing): /.test(s)) && seen.at(-1) === "playing: ", seen.join("; "));
  }
  assert.equal(await session(ivy), await session(jon), "they stay together");
  await sees(ivy, "jon");
  await sees(jon, "ivy");
  await walk(ivy, "ivy", jon);
  await shot(ivy, "handed-off");
  const [now, theirs] = await Promise.all(pages.map((page) => page.locator(".code b").textContent()));
  assert.ok(now !== code && now === theirs, "the code is the new session's");
  clean(...pages);
});
