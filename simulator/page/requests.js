// The requests of the network to the application, with their answers.

import { $, ask, make } from "./dom.js";

// Enough to look back; the network keeps more.
const MOST_SHOWN = 100;

const list = $("#requests");
let chosen = "";
let isLoaded = false;

function table(pairs) {
  const facts = make("dl");
  facts.append(...pairs.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
  return facts;
}

function details(request) {
  const answer = make("pre", "", request.answer + (request.is_cut ? "…" : ""));
  answer.hidden = !request.answer;
  const came = [request.status ?? "none", request.content_type, request.failure].filter(Boolean).join(" · ");
  const fields = Object.entries(request.fields).filter(([, value]) => value !== "");
  return [table([["address", request.url], ["answer", came]]), answer, table(fields), table(Object.entries(request.headers))];
}

function item(request) {
  const entry = make("li");
  entry.dataset.id = request.id;
  entry.dataset.message = request.message;
  const box = make("details", "request"), line = make("summary");
  // an application may give an address that the network asks and a browser does not read
  const path = URL.canParse(request.url) ? new URL(request.url).pathname : request.url;
  const isWrong = request.failure || request.error;
  line.append(
    make("span", isWrong ? "code error" : "code", String(request.status ?? request.failure)),
    make("span", "", `${request.method} ${path}`),
    make("span", "hint", `${request.purpose} · ${Math.round(request.seconds * 1000)} ms`),
  );
  if (request.error) line.append(make("span", "error", `${request.error} ${request.error_title}`));
  box.append(line);
  box.addEventListener("toggle", () => { if (box.childElementCount === 1) box.append(...details(request)); });
  entry.append(box);
  return entry;
}

function filter() {
  const isOnly = $("#requests-chosen").checked;
  let shownItems = 0;
  for (const entry of list.children) {
    entry.hidden = isOnly && entry.dataset.message !== chosen;
    shownItems += entry.hidden ? 0 : 1;
  }
  $("#no-request").hidden = shownItems > 0;
}

// Show a request that is new, or known by now to be wrong.
export function add(request) {
  if (!isLoaded) return;
  const known = list.querySelector(`[data-id="${request.id}"]`);
  if (known) {
    const isOpen = $("details", known).open;
    const fresh = item(request);
    known.replaceWith(fresh);
    $("details", fresh).open = isOpen;
  } else {
    list.prepend(item(request));
    while (list.childElementCount > MOST_SHOWN) list.lastElementChild.remove();
  }
  filter();
}

export async function load() {
  const requests = await ask("GET", "/requests");
  if (requests.error) return;
  isLoaded = true;
  list.replaceChildren(...requests.slice(-MOST_SHOWN).reverse().map(item));
  filter();
}

// Remember which text is selected.
export function select(sid) {
  chosen = sid;
  filter();
}

$("#requests-chosen").addEventListener("change", filter);
$("#requests-clear").addEventListener("click", () => ask("DELETE", "/requests"));
