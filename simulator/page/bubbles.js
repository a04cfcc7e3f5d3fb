// The messages of one telephone. Each keeps its element, so that focus stays and only what is new is read aloud.

import { $, clock, make, write } from "./dom.js";

const TYPING_FOR_MS = 60_000;
// As many as the network sends at the start.
const MOST_SHOWN = 200;
const MOVES = { ArrowUp: (at) => at - 1, ArrowDown: (at) => at + 1, Home: () => 0, End: (at, last) => last };

// One tick: the network has the message. Two: the webhook took it (the person's text) or the telephone has it (the reply).
function ticks(message) {
  const names = message.stations.map(([name]) => name);
  if (message.mine) {
    const lost = names.find((name) => name.startsWith("lost") || name === "no webhook");
    if (names.includes("acknowledged")) return ["✓✓", "the webhook took it"];
    if (lost) return ["!", message.error_code ? `error ${message.error_code}` : lost];
    return ["✓", "the network has it"];
  }
  if (message.status === "delivered") return ["✓✓", "delivered"];
  if (message.status === "sent") return ["✓", "sent"];
  return ["!", `${message.status}, error ${message.error_code}`];
}

function size(message) {
  if (message.media.length) return "MMS";
  return message.segments > 1 ? `${message.segments} segments` : "1 segment";
}

const visible = (message) => message.mine || !["accepted", "queued", "sending", "canceled"].includes(message.status);

export class Bubbles {
  // `choose` is called with the message that the reader selects.
  constructor(element, choose) {
    this.scroller = $(".scroller", element);
    this.list = $(".bubbles", element);
    this.typing = $(".typing", element);
    this.messages = new Map();
    this.items = new Map();
    this.choose = choose;
    this.list.addEventListener("keydown", (event) => this.move(event));
  }

  take(message) {
    const known = this.messages.get(message.sid);
    // an answer may be older than an event that overtook it
    if (known && known.stations.length > message.stations.length) return;
    this.messages.set(message.sid, { ...known, ...message });
  }

  notice({ at, body }) {
    const sid = `notice ${at}`;
    this.messages.set(sid, { sid, body, created: at, isNotice: true });
  }

  // Return whether the end is in view. Ask before anything changes a size.
  isAtEnd() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < 80;
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  draw({ chosen, hasJournal, atEnd = this.isAtEnd() }) {
    const ordered = [...this.messages.values()].sort((a, b) => a.created - b.created);
    for (const old of ordered.splice(0, ordered.length - MOST_SHOWN)) this.forget(old.sid);
    let place = this.list.firstElementChild;
    for (const message of ordered) {
      if (!message.isNotice && !visible(message)) continue;
      const item = this.item(message);
      if (!message.isNotice) this.fill(item, message, message.sid === chosen);
      if (item === place) place = place.nextElementSibling;
      else this.list.insertBefore(item, place);
    }
    if (!this.list.contains(document.activeElement)) this.reach(this.reachable().at(-1));
    this.typing.hidden = !(hasJournal && this.isAwaited(ordered.filter((message) => !message.isNotice && visible(message)).at(-1)));
    if (atEnd) this.toEnd();
  }

  forget(sid) {
    this.items.get(sid)?.remove();
    this.items.delete(sid);
    this.messages.delete(sid);
  }

  isAwaited(last) {
    return last?.mine && ticks(last)[0] === "✓✓" && Date.now() - last.created * 1000 < TYPING_FOR_MS && !last.isSettled;
  }

  item(message) {
    const known = this.items.get(message.sid);
    if (known) return known;
    const item = message.isNotice ? make("li", "notice", message.body) : make("li", "bubble");
    this.items.set(message.sid, item);
    if (message.isNotice) return item;
    item.dataset.sid = message.sid;
    item.tabIndex = -1;
    item.classList.toggle("mine", message.mine);
    const meta = make("span", "meta");
    meta.append(make("span", "size"), make("span", "ticks"));
    item.append(make("span", "media"), make("span", "words"), meta);
    $(".words", item).dir = "auto";
    item.addEventListener("click", () => { this.reach(item); this.choose(this.messages.get(message.sid)); });
    return item;
  }

  fill(item, message, isChosen) {
    item.classList.toggle("chosen", isChosen);
    if (isChosen) item.setAttribute("aria-current", "true"); else item.removeAttribute("aria-current");
    const media = $(".media", item);
    if (media.childElementCount > message.media.length) media.replaceChildren(); // a picture was deleted
    for (const sid of message.media.slice(media.childElementCount)) media.append(this.picture(`/phone/pictures/${sid}`));
    write($(".words", item), message.body);
    write($(".size", item), `${size(message)} · ${clock(message.created)} `);
    const [mark, title] = ticks(message), tick = $(".ticks", item);
    write(tick, mark === "!" ? `! ${title}` : mark);
    tick.classList.toggle("error", mark === "!");
    tick.title = title;
    tick.setAttribute("aria-label", title);
  }

  picture(url) {
    const image = make("img");
    image.alt = "a picture";
    image.addEventListener("load", () => { if (this.isAtEnd()) this.toEnd(); });
    image.addEventListener("error", () => {
      const file = make("a", "file", "a file");
      file.href = url;
      image.replaceWith(file);
    });
    image.src = url;
    return image;
  }

  reachable() {
    return [...this.list.children].filter((item) => item.dataset.sid);
  }

  // Make one bubble the list's only Tab stop.
  reach(item) {
    if (!item || item === this.stop) return;
    if (this.stop) this.stop.tabIndex = -1;
    item.tabIndex = 0;
    this.stop = item;
  }

  move(event) {
    const items = this.reachable(), at = items.indexOf(event.target);
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.target.click(); return; }
    const next = MOVES[event.key] && items[MOVES[event.key](at, items.length - 1)];
    if (!next) return;
    event.preventDefault();
    this.reach(next);
    next.focus();
  }
}
