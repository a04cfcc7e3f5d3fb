// Keep the overview and the road of one text fresh. Without this script the pages are complete, and stand still.

import { $, write } from "./dom.js";
import { follow } from "./road.js";
import { listen } from "./stream.js";

const WORDS = { connected: "live", lost: "not live; trying again" };

// Replace what changed. The element that has the focus keeps it, if it is still there.
function show(html) {
  const live = $("#live");
  const held = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  live.innerHTML = html;
  if (held) [...live.querySelectorAll("a")].find((link) => link.getAttribute("href") === held)?.focus();
}

async function turn(state) {
  write($("#connection"), WORDS[state]);
  if (state !== "lost") return;
  // the stream of a session that has ended is refused: the page then asks for a login
  const answer = await fetch("/overview.json").catch(() => null);
  if (answer?.status === 401) location.reload();
}

if ($("#live")) listen("/events", turn, (piece) => show(JSON.parse(piece)));

const road = $("#road")?.dataset.road;
if (road) follow(road, () => {});
