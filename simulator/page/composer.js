// Where a telephone's text is written: its size, its pictures, and the sending.

import { $, ask, make } from "./dom.js";

const MOST_PICTURES = 10;
const GSM = new Set("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà");
const GSM_TWICE = new Set("\f^{}\\[~]|€");

// Count the segments of a text by the rules of sms/segments.py.
export function segments(text) {
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

export class Composer {
  // `sent` is called with the sid of each text that the network took, `resized` after each change of size.
  constructor(element, { number, numbers, sent, resized }) {
    this.form = $(".compose", element);
    this.area = $("textarea", this.form);
    this.count = $(".count", this.form);
    this.number = number;
    this.pictures = [];
    this.sent = sent;
    this.resized = resized;
    this.offer(numbers);
    this.area.addEventListener("input", () => this.measure());
    this.area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.form.requestSubmit(); }
    });
    $("input[type=file]", this.form).addEventListener("change", (event) => this.attach(event.target));
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
  }

  // Show the numbers that can be texted, if there is a choice.
  offer(numbers) {
    const menu = $(".to", this.form), known = [...menu.options].map((option) => option.value);
    if (known.join() === numbers.join()) return;
    menu.replaceChildren(...numbers.map((number) => new Option(number, number)));
    $(".to-row", this.form).hidden = numbers.length < 2;
  }

  // Say what is wrong, beside the pictures that the text has.
  complain(sentence) {
    this.count.hidden = false;
    this.count.className = "count error";
    this.count.textContent = this.pictures.length ? `${sentence} · ${this.attached()}` : sentence;
    if (this.pictures.length) this.count.append(" ", this.clearButton());
  }

  attached() {
    return `MMS, ${this.pictures.length} of ${MOST_PICTURES} pictures`;
  }

  measure() {
    const { area, count, pictures } = this;
    const { count: n, alphabet } = segments(area.value);
    const size = pictures.length ? this.attached() : `${n} segment${n > 1 ? "s" : ""} · ${alphabet}`;
    const room = area.value.length >= area.maxLength ? ` · ${area.value.length} of ${area.maxLength} characters` : "";
    count.className = "count";
    count.hidden = !area.value && !pictures.length;
    count.textContent = size + room;
    if (pictures.length) count.append(" ", this.clearButton());
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + 2}px`;
    this.resized();
  }

  clearButton() {
    const clear = make("button", "clear", "×");
    clear.type = "button";
    clear.title = "remove the pictures";
    clear.setAttribute("aria-label", clear.title);
    clear.addEventListener("click", () => { this.pictures = []; this.measure(); });
    return clear;
  }

  async attach(input) {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    let problem = "";
    for (const file of files) {
      if (this.pictures.length >= MOST_PICTURES) { problem = `a text may have at most ${MOST_PICTURES} pictures`; break; }
      const { sid, error } = await ask("POST", "/phone/pictures", file, file.type);
      if (error) { problem = error; break; }
      this.pictures.push(sid);
    }
    this.measure();
    if (problem) this.complain(problem);
  }

  async submit() {
    const body = this.area.value, { pictures } = this;
    if (this.isSending || (!body.trim() && !pictures.length)) return;
    this.isSending = true;
    const { sid, error } = await ask("POST", "/phone/texts", { from: this.number, to: $(".to", this.form).value, body, pictures });
    this.isSending = false;
    if (error) { this.complain(error); return; }
    this.area.value = "";
    this.pictures = [];
    this.measure();
    this.sent(sid);
  }
}
