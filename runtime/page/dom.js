// Make elements, and show what people wrote.

export const $ = (selector, root = document) => root.querySelector(selector);

export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = shown(text);
  return element;
}

// Change the text only if it differs: a change that changes nothing would still be drawn and read aloud.
export function write(element, text) {
  const words = shown(text);
  if (element.textContent !== words) element.textContent = words;
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

const HIDDEN = /(?![\n\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

// Write out characters that hide or reorder others, such as `\u202e`, as runtime/visible.py does.
export function shown(text) {
  const written = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return String(text).replace(HIDDEN, (hidden) => hidden.split("").map(written).join(""));
}

// Ask the network; the answer has an `error` if it refuses or is away.
export async function ask(method, url, body, type = "application/json") {
  const content = body === undefined || body instanceof Blob ? body : JSON.stringify(body);
  try {
    const answer = await fetch(url, { method, headers: content ? { "content-type": type } : {}, body: content });
    return answer.status === 204 ? {} : await answer.json();
  } catch {
    return { error: "the network does not answer" };
  }
}

// Run `work` soon, once for all calls until then.
export function coalesced(work, milliseconds) {
  let timer = null;
  return () => { timer ??= setTimeout(() => { timer = null; work(); }, milliseconds); };
}
