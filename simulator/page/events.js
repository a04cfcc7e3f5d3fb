"use strict";
// A shared worker: one event stream for all tabs. A browser allows six connections to a host, and each stream takes one.

const ports = new Set();
let state = "connecting";
let source = null;

function tell(what) {
  for (const port of ports) port.postMessage(what);
}

function listen() {
  source = new EventSource("/phone/events");
  source.onopen = () => { state = "connected"; tell({ state }); };
  source.onmessage = (event) => tell({ event: event.data });
  source.onerror = () => {
    state = "lost";
    tell({ state });
    // the browser tries again by itself, unless the answer was an error
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 1000);
  };
}

onconnect = (connection) => {
  const port = connection.ports[0];
  ports.add(port);
  port.onmessage = () => ports.delete(port); // the tab says that it closes
  port.postMessage({ state });
  if (!source) listen();
};
