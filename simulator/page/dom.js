// Make elements, and show what people wrote.

export const $ = (selector, root = document) => root.querySelector(selector);

export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// Change the text only if it differs: a change that changes nothing would still be drawn and read aloud.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

// Make control characters and those that turn the direction visible.
export function shown(text) {
  return text.replace(HIDDEN, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : `[U+${code.toString(16).toUpperCase().padStart(4, "0")}]`;
  });
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
