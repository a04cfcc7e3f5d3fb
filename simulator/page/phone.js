"use strict";
// The page keeps a map of messages by sid for each telephone and draws the telephone from it.
// Every event carries the new state of one message.

const TYPING_FOR_MS = 60_000;
const ROAD_EVERY_MS = 500;
const MOST_PICTURES = 10;
const GSM = new Set("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà");
const GSM_TWICE = new Set("\f^{}\\[~]|€");

const phones = new Map(); // number -> {element, messages: Map, pictures: [], notices: []}
let numbers = [];
let chosen = null;
let roadTimer = null;

const $ = (selector, root = document) => root.querySelector(selector);
// Write out characters that hide or reorder others, as runtime/visible.py does.
const writtenOut = (text) => String(text).replace(/(?![\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
  (hidden) => Array.from({ length: hidden.length }, (_, at) => `\\u${hidden.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""));
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = writtenOut(text);
  return element;
};

// Count the segments of a text by the rules of sms/segments.py.
function segments(text) {
  const letters = [...text];
  const gsm = letters.every((c) => GSM.has(c) || GSM_TWICE.has(c));
  const cost = (c) => (gsm ? (GSM_TWICE.has(c) ? 2 : 1) : c.length);
  const total = letters.reduce((sum, c) => sum + cost(c), 0);
  if (total <= (gsm ? 160 : 70)) return { count: 1, alphabet: gsm ? "GSM-7" : "UCS-2" };
  const room = gsm ? 153 : 67;
  let count = 1, used = 0;
  for (const c of letters) {
    if (used + cost(c) > room) { count += 1; used = 0; }
    used += cost(c);
  }
  return { count, alphabet: gsm ? "GSM-7" : "UCS-2" };
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

// One tick: the network has the message. Two: the webhook took it (the person's text) or the telephone has it (the reply).
function ticks(message) {
  const names = message.stations.map(([name]) => name);
  if (message.mine) {
    if (names.includes("acknowledged")) return ["✓✓", "the webhook took it"];
    if (names.some((name) => name.startsWith("lost") || name === "no webhook")) return ["!", "the webhook did not take it"];
    return ["✓", "the network has it"];
  }
  if (message.status === "delivered") return ["✓✓", "delivered"];
  if (message.status === "sent") return ["✓", "sent"];
  return ["·", message.status];
}

function bubble(message) {
  const item = make("li", `bubble${message.mine ? " mine" : ""}${message.sid === chosen ? " chosen" : ""}`);
  item.dataset.sid = message.sid;
  item.tabIndex = 0;
  for (const sid of message.media) {
    const image = make("img");
    image.src = `/phone/pictures/${sid}`;
    image.alt = "a picture";
    item.append(image);
  }
  const words = make("span", "words", message.body);
  words.dir = "auto";
  item.append(words);
  const [mark, title] = ticks(message);
  const size = message.segments > 1 ? `${message.segments} segments · ` : "1 segment · ";
  const meta = make("span", "meta", `${size}${clock(message.created)} `);
  const tick = make("span", "ticks", mark);
  tick.title = title;
  tick.setAttribute("aria-label", title);
  meta.append(tick);
  item.append(meta);
  const choose = () => showRoad(message);
  item.addEventListener("click", choose);
  item.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(); });
  return item;
}

function visible(message) {
  return message.mine || ["sent", "delivered", "read"].includes(message.status);
}

function thinking(phone) {
  const shown = [...phone.messages.values()].filter(visible);
  const last = shown.at(-1);
  return last && last.mine && ticks(last)[0] === "✓✓" && Date.now() - last.created * 1000 < TYPING_FOR_MS && !last.silent;
}

// Return whether the list is scrolled to its end. Call this before anything changes its size.
function isAtEnd(phone) {
  const list = $(".bubbles", phone.element);
  return list.scrollHeight - list.scrollTop - list.clientHeight < 80;
}

function draw(phone, atEnd = isAtEnd(phone)) {
  const list = $(".bubbles", phone.element);
  const lines = [...phone.messages.values()].filter(visible).map((m) => [m.created, bubble(m)]);
  for (const notice of phone.notices) lines.push([notice.at, make("li", "notice", notice.body)]);
  lines.sort((a, b) => a[0] - b[0]);
  const items = lines.map(([, item]) => item);
  if (thinking(phone)) {
    const typing = make("li", "bubble typing");
    typing.setAttribute("aria-label", "the cat is typing");
    typing.append(make("i"), make("i"), make("i"));
    items.push(typing);
  }
  list.replaceChildren(...items);
  if (!atEnd) return;
  const toEnd = () => { list.scrollTop = list.scrollHeight; };
  toEnd();
  for (const image of list.querySelectorAll("img")) if (!image.complete) image.addEventListener("load", toEnd, { once: true });
}

function addPhone({ number, name, messages, notices }) {
  const element = $("#phone-template").content.firstElementChild.cloneNode(true);
  const phone = { element, messages: new Map(), pictures: [], notices };
  phones.set(number, phone);
  element.dataset.number = number;
  $(".name", element).textContent = writtenOut(name);
  $(".number", element).textContent = writtenOut(number);
  $(".avatar", element).textContent = [...name.replace("+", "")][0] || "?";
  $(".to", element).replaceChildren(...numbers.map((n) => { const o = make("option", "", n); o.value = n; return o; }));
  $(".to", element).hidden = numbers.length < 2;
  for (const message of messages) phone.messages.set(message.sid, message);
  const form = $(".compose", element), area = $("textarea", form), count = $(".count", form);
  const measure = () => {
    const atEnd = isAtEnd(phone);
    const { count: n, alphabet } = segments(area.value);
    const pictures = phone.pictures.length;
    const size = pictures ? `${pictures} of ${MOST_PICTURES} pictures` : `${n} segment${n > 1 ? "s" : ""} · ${alphabet}`;
    const room = area.value.length >= area.maxLength ? ` · ${area.value.length} of ${area.maxLength} characters` : "";
    count.className = "count";
    count.textContent = area.value || pictures ? size + room : "";
    if (pictures) {
      const clear = make("button", "clear", "×");
      clear.type = "button";
      clear.title = "remove the pictures";
      clear.addEventListener("click", () => { phone.pictures = []; measure(); });
      count.append(" ", clear);
    }
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + 2}px`;
    if (atEnd) $(".bubbles", element).scrollTop = 1e9;
  };
  phone.measure = measure;
  area.addEventListener("input", measure);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
  });
  $("input[type=file]", form).addEventListener("change", async (event) => {
    for (const file of event.target.files) {
      if (phone.pictures.length >= MOST_PICTURES) { count.className = "count error"; count.textContent = `a text may have at most ${MOST_PICTURES} pictures`; return; }
      const answer = await fetch("/phone/pictures", { method: "POST", headers: { "content-type": file.type }, body: file });
      const reply = await answer.json();
      if (answer.ok) phone.pictures.push(reply.sid); else { count.className = "count error"; count.textContent = reply.error; return; }
    }
    event.target.value = "";
    measure();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = area.value, pictures = phone.pictures;
    if (phone.sending || (!body.trim() && !pictures.length)) return;
    phone.sending = true;
    let error = "the network does not answer";
    try {
      const answer = await fetch("/phone/texts", {
        method: "POST", headers: { "content-type": "application/json" },
        body: JSON.stringify({ from: number, to: $(".to", element).value || numbers[0], body, pictures }),
      });
      const reply = await answer.json();
      error = reply.error;
      if (answer.ok) { area.value = ""; phone.pictures = []; chosen = reply.sid; measure(); draw(phone, true); followRoad(reply.sid); return; }
    } catch { /* `error` keeps its first value */ } finally { phone.sending = false; }
    count.className = "count error";
    count.textContent = error;
  });
  $(".remove", element).addEventListener("click", () => fetch(`/phone/phones/${encodeURIComponent(number)}`, { method: "DELETE" }));
  $("#phones").append(element);
  draw(phone);
  $(".bubbles", element).scrollTop = 1e9;
}

async function load() {
  const state = await (await fetch("/phone/state")).json();
  numbers = state.numbers;
  const there = new Set(state.phones.map((phone) => phone.number));
  for (const [number, phone] of phones) if (!there.has(number)) { phone.element.remove(); phones.delete(number); }
  for (const fresh of state.phones) {
    const phone = phones.get(fresh.number);
    if (!phone) { addPhone(fresh); continue; }
    // keep the unsent text; update the messages
    for (const message of fresh.messages) phone.messages.set(message.sid, { ...phone.messages.get(message.sid), ...message });
    phone.notices = fresh.notices;
    draw(phone);
  }
}

function showRoad(message) {
  const phone = phones.get(message.phone);
  if (message.mine) { chosen = message.sid; followRoad(message.sid); } else {
    const before = [...phone.messages.values()].filter((m) => m.mine && m.created < message.created).at(-1);
    if (before) { chosen = before.sid; followRoad(before.sid); }
  }
  draw(phone);
}

function followRoad(sid) {
  clearInterval(roadTimer);
  const until = Date.now() + 120_000;
  const look = async () => {
    const answer = await fetch(`/phone/road/${sid}`).catch(() => null);
    if (!answer || !answer.ok || sid !== chosen) return;
    const road = await answer.json();
    drawRoad(road);
    const settled = ["SILENT", "STALE", "DEAD"].includes(road.facts.state);
    const phone = [...phones.values()].find((p) => p.messages.has(sid));
    if (settled && phone) { phone.messages.get(sid).silent = true; draw(phone); }
    if (settled || road.stations.some((s) => s.name === "delivered") || Date.now() > until) clearInterval(roadTimer);
  };
  roadTimer = setInterval(look, ROAD_EVERY_MS);
  look();
}

function drawRoad(road) {
  const passed = new Map(road.stations.map((station) => [station.name, station.at]));
  const start = road.stations.length ? road.stations[0].at : 0;
  $("#stations").replaceChildren(...road.all.map((name) => {
    const item = make("li", `station${passed.has(name) ? " passed" : ""}`);
    item.append(make("span", "", name));
    if (passed.has(name)) {
      const ms = Math.round((passed.get(name) - start) * 1000);
      item.append(make("time", "", ms >= 10_000 ? `+${(ms / 1000).toFixed(1)} s` : `+${ms} ms`));
    }
    return item;
  }));
  $("#story").hidden = false;
  $("#story").href = `/phone/explain/${road.sid}`;
  $("#facts").replaceChildren(...Object.entries({ text: road.sid, ...road.facts })
    .flatMap(([name, value]) => [make("dt", "", name), make("dd", "", String(value))]));
}

function listen() {
  const events = new EventSource("/phone/events");
  const status = $("#connection");
  events.addEventListener("open", async () => { status.textContent = "connected"; status.className = "connection"; await load(); });
  events.addEventListener("error", () => { status.textContent = "the network does not answer; trying again"; status.className = "connection lost"; });
  events.addEventListener("message", async (event) => {
    const change = JSON.parse(event.data);
    if (change.kind === "phones") { await load(); return; }
    const number = change.kind === "notice" ? change.phone : change.message.phone;
    const phone = phones.get(number);
    if (!phone) return;
    if (change.kind === "notice") phone.notices.push({ at: change.at, body: change.body });
    else phone.messages.set(change.message.sid, { ...phone.messages.get(change.message.sid), ...change.message });
    draw(phone);
  });
}

$("#add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, error = $("#add-error");
  const answer = await fetch("/phone/phones", {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: form.name.value, number: form.number.value }),
  });
  error.textContent = answer.ok ? "" : (await answer.json()).error;
  if (answer.ok) form.reset();
});

// The faults of the network: the current rules, a menu of possible rules, and the network's answer.
const RULE_EXTRAS = { slow: { seconds: 3 }, hang: { seconds: 30 }, error: { status: 503, code: 20503 }, lag: { seconds: 120 }, delay: { seconds: 5 }, undelivered: { code: 30003 }, failed: { code: 30008 } };

function showFaults({ seed, rules, actions }) {
  const bare = rules.map(({ struck, ...rule }) => Object.fromEntries(Object.entries(rule).filter(([name, value]) => value !== null && value !== "" && value !== false && !(name === "rate" && value === 1) && !(name === "status" && rule.do !== "error"))));
  $("#fault-rules").value = bare.length ? JSON.stringify(bare, null, 1) : "[]";
  $("#fault-seed").value = seed;
  $("#fault-said").textContent = rules.length ? rules.map((r) => `${r.at} ${r.do}: struck ${r.struck}`).join(" · ") : "no rules are set";
  $("#faults").classList.toggle("active", rules.length > 0);
  if (!$("#fault-menu").options.length) {
    const options = Object.entries(actions).flatMap(([at, dos]) => dos.map((d) => { const o = make("option", "", `${at}: ${d}`); o.value = `${at} ${d}`; return o; }));
    $("#fault-menu").replaceChildren(make("option", "", "add a rule"), ...options);
  }
}

async function setFaults(text) {
  let rules;
  try { rules = JSON.parse(text); } catch { $("#fault-said").textContent = "the rules are not valid JSON"; return; }
  const answer = await fetch("/faults", { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ rules, seed: Number($("#fault-seed").value) }) });
  const reply = await answer.json();
  if (answer.ok) showFaults(reply); else $("#fault-said").textContent = reply.error;
}

const loadFaults = async () => showFaults(await (await fetch("/faults")).json());
$("#faults").addEventListener("toggle", loadFaults);
$("#fault-set").addEventListener("click", () => setFaults($("#fault-rules").value));
$("#fault-clear").addEventListener("click", () => setFaults("[]"));
$("#fault-menu").addEventListener("change", (event) => {
  const [at, what] = event.target.value.split(" ");
  event.target.selectedIndex = 0;
  let rules = [];
  try { rules = JSON.parse($("#fault-rules").value); } catch { /* start with an empty list */ }
  $("#fault-rules").value = JSON.stringify([...rules, { at, do: what, ...RULE_EXTRAS[what] }], null, 1);
});

listen();
