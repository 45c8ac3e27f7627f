// A player whose region takes nobody plays in another one, on the page of his own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clean, open, play, playing, sees, session, shot, stats, walk } from "./page.mjs";

test("players of a region that is drained play in the next one", async (t) => {
  const ada = await open(t, "ada");
  await play(ada, "starter");
  assert.match(await session(ada), /^ses_us_/);
  assert.equal((await stats(ada)).transport, "webtransport");

  const bo = await open(t, "bo", { at: "/?transport=websocket" });
  await play(bo, "starter");
  assert.equal(await session(bo), await session(ada));
  assert.equal((await stats(bo)).transport, "websocket");
  await sees(ada, "bo");
  await sees(bo, "ada");
  await walk(ada, "ada", bo);
  await shot(bo, "regions");

  await bo.reload();
  await playing(bo);
  assert.equal(await session(bo), await session(ada));
  clean(ada, bo);
});
