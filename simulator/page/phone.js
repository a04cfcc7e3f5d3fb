// The page: its telephones, its views, and the stream of what happens in the network.

import { Bubbles } from "./bubbles.js";
import { Composer } from "./composer.js";
import { $, ask, coalesced, make, shown, write } from "./dom.js";
import * as faults from "./faults.js";
import * as requests from "./requests.js";
import * as road from "./road.js";
import { listen } from "./stream.js";

const RELOAD_MS = 50;

const phones = new Map(); // number -> {element, bubbles, composer}
let numbers = [];
let hasJournal = false;
let chosen = null;

// The views: beside the telephones on a wide screen, instead of them on a narrow one.
const isNarrow = window.matchMedia("(max-width: 60rem)");
const tabs = [...document.querySelectorAll("[role=tab]")];

function view(name) {
  if (name === "phones" && !isNarrow.matches) name = "road";
  document.body.dataset.view = name;
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab.dataset.view === name));
    tab.tabIndex = tab.dataset.view === name ? 0 : -1;
  }
  if (name === "requests") requests.load();
  if (name === "faults") faults.load();
}

for (const tab of tabs) {
  tab.addEventListener("click", () => view(tab.dataset.view));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const there = tabs.filter((one) => one.offsetParent);
    const next = step && there[(there.indexOf(tab) + step + there.length) % there.length];
    if (next) { view(next.dataset.view); next.focus(); }
  });
}
isNarrow.addEventListener("change", () => view("phones"));

function draw(phone, more) {
  phone.bubbles.draw({ chosen, hasJournal, ...more });
}

function select(sid) {
  chosen = sid;
  requests.select(sid);
  for (const phone of phones.values()) draw(phone);
  road.follow(`/phone/road/${sid}`, (answer) => {
    $("#story").hidden = false;
    $("#story").href = `/phone/explain/${sid}`;
    // the text itself comes by the stream, perhaps later than the network's answer
    const phone = [...phones.values()].find((one) => one.bubbles.messages.has(sid));
    if (!phone) return;
    const text = phone.bubbles.messages.get(sid);
    for (const one of phones.values()) $(".strip", one.element).hidden = one !== phone;
    write($(".strip", phone.element), `the road: ${road.summary(answer)}`);
    if (road.isSettled(answer) && !text.isSettled) { text.isSettled = true; draw(phone); }
  });
}

// The road of a reply is that of the text before it.
function choose(message) {
  const texts = [...phones.get(message.phone).bubbles.messages.values()].filter((one) => one.mine && one.created < message.created);
  const sid = message.mine ? message.sid : texts.at(-1)?.sid;
  if (sid) select(sid);
}

function addPhone({ number, name, messages, notices }) {
  const element = $("#phone-template").content.firstElementChild.cloneNode(true);
  const bubbles = new Bubbles(element, choose);
  const composer = new Composer(element, {
    number, numbers,
    sent: (sid) => { draw(phone, { atEnd: true }); select(sid); },
    resized: () => bubbles.toEnd(),
  });
  const phone = { element, bubbles, composer, name };
  phones.set(number, phone);
  $(".name", element).textContent = shown(name);
  $(".number", element).textContent = name === number ? "" : number;
  $(".avatar", element).textContent = name === number ? number.slice(-2) : [...name][0];
  $(".bubbles", element).setAttribute("aria-label", `messages of ${name}`);
  $(".remove", element).setAttribute("aria-label", `remove the phone ${name}`);
  $(".remove", element).addEventListener("click", () => {
    if (confirm(`Take ${name} off the page? Its messages stay, its name does not.`)) ask("DELETE", `/phone/phones/${encodeURIComponent(number)}`);
  });
  $(".strip", element).addEventListener("click", () => { view("road"); $("#tab-road").focus(); });
  for (const message of messages) bubbles.take(message);
  for (const notice of notices) bubbles.notice(notice);
  draw(phone);
  $("#phones").append(element);
  bubbles.toEnd();
}

// Name the telephones that do not fit, so that each can be reached without a swipe.
function drawChips() {
  const row = $("#phones"), chips = $("#chips");
  chips.hidden = row.scrollWidth <= row.clientWidth;
  chips.replaceChildren(...[...phones.values()].map(({ name, element }) => {
    const chip = make("button", "", name);
    chip.addEventListener("click", () => { element.scrollIntoView({ inline: "center", block: "nearest" }); $("textarea", element).focus({ preventScroll: true }); });
    return chip;
  }));
}
new ResizeObserver(drawChips).observe($("#phones"));

async function load() {
  const state = await ask("GET", "/phone/state");
  if (state.error) return;
  ({ numbers, journal: hasJournal } = state);
  const there = new Set(state.phones.map((phone) => phone.number));
  for (const [number, phone] of phones) if (!there.has(number)) { phone.element.remove(); phones.delete(number); }
  for (const fresh of state.phones) {
    const phone = phones.get(fresh.number);
    if (!phone) { addPhone(fresh); continue; }
    phone.composer.offer(numbers);
    for (const message of fresh.messages) phone.bubbles.take(message);
    for (const notice of fresh.notices) phone.bubbles.notice(notice);
    draw(phone);
  }
  $("#no-phone").hidden = phones.size > 0;
  drawChips();
}
const reload = coalesced(load, RELOAD_MS);

const CHANGES = {
  phones: reload,
  faults: faults.refresh,
  requests: () => requests.load(),
  request: ({ request }) => requests.add(request),
  notice: (notice) => {
    const phone = phones.get(notice.phone);
    if (phone) { phone.bubbles.notice(notice); draw(phone); }
  },
  message: ({ message }) => {
    const phone = phones.get(message.phone);
    if (phone) { phone.bubbles.take(message); draw(phone); }
  },
  deleted: ({ sid, phone: number }) => {
    const phone = phones.get(number);
    if (phone) { phone.bubbles.forget(sid); draw(phone); }
  },
};
const take = (data) => { const change = JSON.parse(data); CHANGES[change.kind]?.(change); };

const WORDS = { connecting: "connecting", connected: "connected", lost: "the network does not answer; trying again" };

function turn(state) {
  write($("#connection"), WORDS[state]);
  $("#connection").className = `connection ${state}`;
  if (state === "connected") { reload(); faults.refresh(); }
}

$("#add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const { error = "" } = await ask("POST", "/phone/phones", { name: form.name.value, number: form.number.value });
  $("#add-error").textContent = error;
  if (!error) form.reset();
});

view("phones");
listen("/phone/events", turn, take);
