// The page: what is chosen, what is written, what was sent and what came back.

import { Connection } from "./connection.js";
import { allows, loadContract, ruleInWords } from "./contract.js";
import { Session, SignInError } from "./session.js";

const MAX_ENTRIES = 200;
const CLOSING = -6;

const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));
const written = new Map();
let contract;
let session;
let connection;
let roles = null;
let chosen = null;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function notice(text) {
  page.notice.textContent = text;
  page.notice.hidden = !text;
}

function asText(value) {
  return JSON.stringify(value, null, 2);
}

// ---- the list of packets ----------------------------------------------------------------------------------------

function showPackets() {
  const groups = Map.groupBy(contract.packets, (packet) => packet.group);
  page.packets.replaceChildren(
    ...[...groups].flatMap(([group, packets]) => [
      make("h3", { textContent: group }),
      make("ul", {}, ...packets.map((packet) => make("li", {}, packetButton(packet)))),
    ]),
  );
}

function packetButton(packet) {
  const button = make(
    "button",
    { type: "button", title: packet.summary },
    make("span", { className: "number", textContent: packet.pkgId }),
    make("span", { className: packet.isDeprecated ? "name deprecated" : "name", textContent: packet.name }),
  );
  if (packet === chosen) button.setAttribute("aria-current", "true");
  if (roles && !allows(packet.rule, roles)) {
    button.append(make("span", { className: "refused", textContent: "not yours" }));
  }
  button.addEventListener("click", () => {
    choose(packet);
    page["packet-title"].focus();
  });
  return button;
}

// ---- the editor -------------------------------------------------------------------------------------------------

function choose(packet) {
  if (chosen) written.set(chosen.pkgId, page.data.value);
  chosen = packet;
  page["packet-title"].textContent = `${packet.name} (${packet.pkgId})`;
  page["packet-summary"].textContent = packet.summary + (packet.isDeprecated ? " Deprecated." : "");
  page["packet-rule"].textContent = `Who may: ${ruleInWords(packet.rule)}.`;
  page.data.value = written.get(packet.pkgId) ?? asText(packet.example);
  page["packet-members"].hidden = packet.members.length === 0;
  page.members.replaceChildren(
    ...packet.members.flatMap(({ name, says }) => [make("dt", { textContent: name }), make("dd", { textContent: says })]),
  );
  showFault("");
  showPackets();
}

function showFault(text) {
  page["data-fault"].textContent = text;
  page.data.setAttribute("aria-invalid", String(Boolean(text)));
}

async function send() {
  let data;
  try {
    data = page.data.value.trim() ? JSON.parse(page.data.value) : null;
  } catch (error) {
    showFault(`This is not JSON: ${error.message}`);
    page.data.focus();
    return;
  }
  showFault("");
  await ask(chosen, data);
}

/** Sends a packet and shows what comes back. Returns the button with which its list goes on, if there is one. */
async function ask(packet, data) {
  const entry = addEntry(`${packet.name}`, "waiting for the reply");
  // A token is not for the log.
  entry.add(packet.name === "AUTH" ? "{ … }" : asText(data), "sent");
  const started = performance.now();
  try {
    const reply = await connection.ask(packet.pkgId, data);
    const name = contract.statusNames.get(reply.status_code) ?? "?";
    entry.end(reply.status_code === 0 ? "good" : "bad", `${reply.status_code} ${name}`, performance.now() - started);
    entry.add(asText(reply.meta ? { data: reply.data, meta: reply.meta } : reply.data), "received");
    const following = followingOf(packet, data, reply.meta);
    return following && entry.offer(followingButton(packet, following));
  } catch (error) {
    entry.end("bad", error.message, performance.now() - started);
  }
}

/** What to send for more of a list: its cursor. A page by number has none, so its list begins again, by cursor. */
function followingOf(packet, data, meta) {
  if (meta?.next) return { says: "Next page", data: { ...data, cursor: meta.next } };
  if (!(meta?.page < meta?.pages) || !packet.members.some(({ name }) => name === "cursor")) return null;
  const { page: _number, ...rest } = data ?? {};
  return { says: "All by cursor", data: { ...rest, cursor: "" } };
}

function followingButton(packet, { says, data }) {
  const button = make("button", { type: "button", className: "quiet following", textContent: says });
  button.addEventListener("click", async () => {
    const next = await ask(packet, data);
    // Enter, again and again, walks the list; a focus that has moved on meanwhile stays.
    if (document.activeElement === button) next?.focus();
  });
  return button;
}

// ---- the traffic ------------------------------------------------------------------------------------------------

function addEntry(what, says, kind = "") {
  const status = make("span", { className: "status", textContent: says });
  const time = make("time", { textContent: new Date().toLocaleTimeString() });
  const item = make("li", {}, make("div", { className: "line" }, make("span", { className: "what", textContent: what }), status, time));
  item.dataset.kind = kind;
  page.traffic.prepend(item);
  while (page.traffic.children.length > MAX_ENTRIES) page.traffic.lastElementChild.remove();
  page["traffic-empty"].hidden = true;
  return {
    add: (text, className) => item.append(make("pre", { className, textContent: text, tabIndex: 0 })),
    offer: (button) => item.appendChild(button),
    end: (ended, told, milliseconds) => {
      item.dataset.kind = ended;
      status.textContent = `${told}, ${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
    },
  };
}

function showPush(packet) {
  const name = contract.names.get(packet.pkg_id) ?? `packet ${packet.pkg_id}`;
  const entry = addEntry(name, "from the server", packet.pkg_id === CLOSING ? "bad" : "note");
  entry.add(asText(packet.meta ? { data: packet.data, meta: packet.meta } : packet.data), "received");
}

// ---- signed in, signed out --------------------------------------------------------------------------------------

function showState(state, says) {
  page.state.dataset.state = state;
  page.state.textContent = says;
  page.send.disabled = state !== "on";
}

function showIdentity(identity) {
  roles = identity.roles;
  page.user.textContent = identity.user;
  // Keycloak gives everyone roles of its own; these are the ones that decide something here.
  const deciding = roles.filter((role) => contract.roles.has(role));
  page.roles.replaceChildren(...(deciding.length ? deciding : ["no role"]).map((role) => make("li", { textContent: role })));
  page.roles.title = roles.join(", ");
  page.who.hidden = false;
  showPackets();
}

function showSignedIn(isSignedIn) {
  page["sign-in"].hidden = isSignedIn;
  page["sign-out"].hidden = !isSignedIn;
  page.welcome.hidden = true;
  if (!isSignedIn) {
    roles = null;
    page.who.hidden = true;
    showPackets();
  }
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (error instanceof SignInError) session.forget();
    notice(error.message);
  }
}

// ---- start ------------------------------------------------------------------------------------------------------

async function start() {
  showState("off", "Not connected");
  contract = await loadContract();
  document.title = `${contract.title} console`;
  page.title.textContent = contract.title;
  session = new Session(contract.signIn);
  connection = new Connection(contract, session, {
    state: showState,
    identity: showIdentity,
    push: showPush,
    renewed: () => addEntry("AUTH", "token renewed", "note"),
    signedOut: (error) => {
      showSignedIn(false);
      notice(`${error.message}. Sign in again.`);
    },
  });
  choose(contract.packets[0]);
  await attempt(() => session.resume());
  showSignedIn(session.isSignedIn);
  if (session.isSignedIn) connection.connect();
  else page.welcome.hidden = !(await session.isDevelopment());
}

page.editor.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
page.data.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    page.editor.requestSubmit(page.send);
  }
});
page.reset.addEventListener("click", () => {
  page.data.value = asText(chosen.example);
  showFault("");
});
page.clear.addEventListener("click", () => {
  page.traffic.replaceChildren();
  page["traffic-empty"].hidden = false;
});
page["sign-in"].addEventListener("click", () => attempt(() => session.signIn()));
page["sign-out"].addEventListener("click", () => {
  connection.stop();
  attempt(() => session.signOut());
});

start().catch((error) => notice(error.message));
