// The road of one text: asked for again and again until the text has reached its end.

import { $, make } from "./dom.js";

const ROAD_EVERY_MS = 500;
const FOLLOWED_FOR_MS = 120_000;

let timer = null;
let followed = null;

// `url` answers with the road as JSON: `sid`, `facts`, the `stations` that the text passed, and `all` of them.
// `changed` is called with each answer.
export function follow(url, changed) {
  clearInterval(timer);
  followed = url;
  const until = Date.now() + FOLLOWED_FOR_MS;
  const look = async () => {
    if (Date.now() > until) { clearInterval(timer); return; }
    if (document.hidden) return;
    const answer = await fetch(url).catch(() => null);
    if (!answer?.ok || url !== followed) return;
    const road = await answer.json();
    draw(road);
    changed(road);
    if (isOver(road)) clearInterval(timer);
  };
  timer = setInterval(look, ROAD_EVERY_MS);
  look();
}

const passed = (road, name) => road.stations.some((station) => station.name === name);

export function isSettled(road) {
  return ["SILENT", "STALE", "DEAD"].includes(road.facts.state);
}

function isOver(road) {
  return isSettled(road) || passed(road, "delivered") || Boolean(road.facts.reply_status);
}

function took(road, at) {
  const ms = Math.round((at - road.stations[0].at) * 1000);
  return ms >= 10_000 ? `+${(ms / 1000).toFixed(1)} s` : `+${ms} ms`;
}

// Return the road in a few words: how far the text is.
export function summary(road) {
  const last = road.stations.at(-1);
  if (road.facts.error) return `error ${road.facts.error}`;
  return last ? `${last.name} ${took(road, last.at)}` : "";
}

function draw(road) {
  const times = new Map(road.stations.map((station) => [station.name, station.at]));
  $("#stations").replaceChildren(...road.all.map((name) => {
    const item = make("li", `station${times.has(name) ? " passed" : ""}`);
    item.append(make("span", "", name));
    if (times.has(name)) item.append(make("time", "", took(road, times.get(name))));
    return item;
  }));
  $("#facts").replaceChildren(...Object.entries({ text: road.sid, ...road.facts }).flatMap(([name, value]) => {
    const fact = make("dd", name === "error" || name === "reply_status" ? "error" : "", String(value));
    return [make("dt", "", name.replace("_", " ")), fact];
  }));
}
