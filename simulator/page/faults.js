// The faults of the network: the rules in force, a menu of possible rules, and how often each struck.

import { $, ask, coalesced, make } from "./dom.js";

const RULE_EXTRAS = { slow: { seconds: 3 }, hang: { seconds: 30 }, error: { status: 503, code: 20503 }, lag: { seconds: 120 }, delay: { seconds: 5 }, undelivered: { code: 30003 }, failed: { code: 30008 } };
const REFRESH_MS = 200;

const area = $("#fault-rules"), seed = $("#fault-seed"), said = $("#fault-said");
let inForce = "";

const current = () => `${area.value}\n${seed.value}`;

function say(sentence, kind) {
  said.className = kind;
  said.textContent = sentence;
}

function hint() {
  say(current() === inForce ? "" : "not in force yet: press “set”", "pending");
}

// Leave out what a rule has by default.
function bare({ struck, ...rule }) {
  const isDefault = (name, value) => value === null || value === "" || value === false || (name === "rate" && value === 1) || (name === "status" && rule.do !== "error");
  return Object.fromEntries(Object.entries(rule).filter(([name, value]) => !isDefault(name, value)));
}

function show({ seed: given, rules, actions }, { isOwn = false } = {}) {
  const isEdited = current() !== inForce && inForce !== "";
  const text = rules.length ? JSON.stringify(rules.map(bare), null, 1) : "[]";
  if (isOwn || !isEdited) {
    area.value = text;
    seed.value = given;
  }
  inForce = `${text}\n${given}`;
  hint();
  const lines = rules.map((rule) => make("li", "", `${rule.at} ${rule.do}: struck ${rule.struck}`));
  $("#fault-struck").replaceChildren(...(lines.length ? lines : [make("li", "", "no rules are in force")]));
  $("#tab-faults").classList.toggle("active", rules.length > 0);
  if ($("#fault-menu").options.length) return;
  const options = Object.entries(actions).flatMap(([at, dos]) => dos.map((d) => new Option(`${at}: ${d}`, `${at} ${d}`)));
  $("#fault-menu").replaceChildren(new Option("add a rule", ""), ...options);
}

async function set(text) {
  let rules;
  try { rules = JSON.parse(text); } catch { say("the rules are not valid JSON", "error"); return; }
  const faults = await ask("PUT", "/faults", { rules, seed: Number(seed.value) });
  if (faults.error) say(faults.error, "error"); else show(faults, { isOwn: true });
}

export async function load() {
  const faults = await ask("GET", "/faults");
  if (!faults.error) show(faults);
}

// Rules strike and change in quick succession; ask once for several.
export const refresh = coalesced(load, REFRESH_MS);

area.addEventListener("input", hint);
seed.addEventListener("input", hint);
$("#fault-set").addEventListener("click", () => set(area.value));
$("#fault-clear").addEventListener("click", () => set("[]"));
$("#fault-menu").addEventListener("change", (event) => {
  const [at, what] = event.target.value.split(" ");
  event.target.selectedIndex = 0;
  let rules = [];
  try { rules = JSON.parse(area.value); } catch { /* start with an empty list */ }
  area.value = JSON.stringify([...rules, { at, do: what, ...RULE_EXTRAS[what] }], null, 1);
  hint();
});
