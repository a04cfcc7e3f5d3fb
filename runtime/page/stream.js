// One event stream for all tabs. A browser allows six connections to a host, and each stream takes one.

const WAIT_MS = 1000;

function open(url, tell) {
  const source = new EventSource(url);
  source.onopen = () => tell({ state: "connected" });
  source.onmessage = ({ data }) => tell({ event: data });
  source.onerror = () => {
    tell({ state: "lost" });
    // the browser tries again by itself, unless the answer was an error
    if (source.readyState === EventSource.CLOSED) setTimeout(open, WAIT_MS, url, tell);
  };
  return source;
}

// The tab that holds the lock reads the stream and passes it on. When it closes, another tab gets the lock.
function share(url, hear) {
  const channel = new BroadcastChannel(url);
  let state = "";
  const tell = (what) => {
    state = what.state ?? state;
    hear(what);
    channel.postMessage(what);
  };
  channel.onmessage = ({ data }) => {
    if (!data.question) { hear(data); return; }
    if (state) channel.postMessage({ state, isAnswer: true });
  };
  channel.postMessage({ question: "state" });
  navigator.locks.request(url, () => new Promise(() => { open(url, tell); }));
}

// A page that is not from this machine has no locks: it reads the stream itself, while it is in view.
function readWhileVisible(url, hear) {
  let source = null;
  const follow = () => {
    if (document.hidden) { source?.close(); source = null; return; }
    source = open(url, hear);
  };
  document.addEventListener("visibilitychange", follow);
  follow();
}

// Read the stream at `url`: call `turn` with the state of the connection, and `take` with each event.
export function listen(url, turn, take) {
  let state = "";
  const hear = (what) => {
    if (what.event) { take(what.event); return; }
    // the answer to another tab's question is no news here
    if (what.isAnswer && what.state === state) return;
    state = what.state;
    turn(state);
  };
  if (navigator.locks) share(url, hear); else readWhileVisible(url, hear);
}

// A page that the browser had put aside has missed what happened.
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
