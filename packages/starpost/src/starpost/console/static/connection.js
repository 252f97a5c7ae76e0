// One connection that comes back by itself: packets out, replies and pushes in, and what each close code asks for.

import { SignInError } from "./session.js";

const NIL = "00000000-0000-0000-0000-000000000000";
const PING = -1;
const AUTH = -2;
const CLOSING = -6;
const TOKEN_EXPIRING = -8;
const LONGEST_WAIT = 30_000;

/** The connection ended before the reply came. */
export class ConnectionLost extends Error {}

export class Connection {
  #contract;
  #session;
  #on;
  #socket = null;
  #replies = new Map();
  #closing = null;
  #attempt = 0;
  #timers = { reconnect: 0, renew: 0 };

  /**
   * @param contract the packets' contract
   * @param session who is signed in
   * @param on state(name, says), identity({user, roles, expires_at}), push(packet), renewed(), signedOut(error)
   */
  constructor(contract, session, on) {
    this.#contract = contract;
    this.#session = session;
    this.#on = on;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Connects, with the token as an offered subprotocol: of the ways in that a browser has, the one no proxy logs. */
  connect() {
    this.#closing = null;
    this.#on.state("waiting", "Connecting");
    const socket = new WebSocket(this.#contract.socketUrl(location.href), ["json", `bearer.${this.#session.accessToken}`]);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", (event) => {
      // A `batched` subscription gets arrays.
      for (const packet of [JSON.parse(event.data)].flat()) this.#received(packet);
    });
    socket.addEventListener("close", (event) => this.#closed(event));
  }

  /** Closes for good. */
  stop() {
    clearTimeout(this.#timers.reconnect);
    clearTimeout(this.#timers.renew);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    this.#failReplies("closed");
    this.#on.state("off", "Not connected");
  }

  /** Sends a packet and waits for its reply. Throws ConnectionLost. */
  ask(pkgId, data) {
    if (!this.isOpen) return Promise.reject(new ConnectionLost("Not connected"));
    const reqId = uuid();
    const reply = new Promise((resolve, reject) => this.#replies.set(reqId, { resolve, reject }));
    this.#send(pkgId, reqId, data);
    return reply;
  }

  #send(pkgId, reqId, data) {
    this.#socket.send(JSON.stringify({ pkg_id: pkgId, req_id: reqId, data }));
  }

  #opened() {
    // The server knows who this is already; the reply tells us, with the roles that count here.
    this.#authenticate().catch((error) => {
      if (!(error instanceof ConnectionLost)) throw error;
    });
  }

  async #authenticate() {
    const socket = this.#socket;
    const reply = await this.ask(AUTH, { token: this.#session.accessToken });
    if (reply.status_code !== 0) {
      this.stop();
      this.#session.forget();
      this.#on.signedOut(new SignInError(reply.data.msg));
      return;
    }
    if (socket !== this.#socket) return;
    this.#attempt = 0;
    this.#on.state("on", "Connected");
    this.#on.identity(reply.data);
    this.#renewIn(this.#session.renewAfter);
  }

  #renewIn(delay) {
    clearTimeout(this.#timers.renew);
    this.#timers.renew = setTimeout(() => this.#renew(), delay);
  }

  /** A new token for the open connection, before the old one ends it. */
  async #renew() {
    try {
      await this.#session.renew();
      if (this.isOpen) {
        await this.#authenticate();
        this.#on.renewed();
      }
    } catch (error) {
      if (error instanceof SignInError) {
        this.stop();
        this.#on.signedOut(error);
      } else if (!(error instanceof ConnectionLost)) {
        // Keycloak does not answer: the token may still be good for a while.
        this.#renewIn(5000);
      }
    }
  }

  #received(packet) {
    const waiting = this.#replies.get(packet.req_id);
    if (waiting) {
      this.#replies.delete(packet.req_id);
      waiting.resolve(packet);
      return;
    }
    if (packet.pkg_id === PING && packet.req_id === NIL) {
      this.#send(PING, NIL, packet.data);
      return;
    }
    if (packet.pkg_id === CLOSING) this.#closing = packet.data;
    // The timer does this in time. A young token is left alone: where the warning comes earlier than tokens live, each
    // new one would at once be followed by the next.
    if (packet.pkg_id === TOKEN_EXPIRING && this.#session.isHalfOver) this.#renewIn(0);
    this.#on.push(packet);
  }

  #closed(event) {
    if (event.target !== this.#socket) return;
    clearTimeout(this.#timers.renew);
    this.#failReplies(`closed with ${event.code}`);
    const verdict = this.#contract.closeCodes.get(event.code);
    const says = `Closed (${[event.code, event.reason].filter(Boolean).join(" ")})`;
    // Without a verdict of the server, such as 1006, it was the network, or the server is gone: try again.
    if (verdict && !verdict.reconnect) {
      this.#on.state("off", says);
      return;
    }
    const backoff = Math.min(500 * 2 ** this.#attempt, LONGEST_WAIT) * (0.5 + Math.random() / 2);
    const delay = this.#attempt === 0 && this.#closing ? this.#closing.after_ms : backoff;
    this.#attempt += 1;
    this.#on.state("waiting", `${says}, again in ${(delay / 1000).toFixed(1)} s`);
    this.#timers.reconnect = setTimeout(() => this.#reconnect(verdict?.new_token ?? false), delay);
  }

  async #reconnect(isTokenWanted) {
    const socket = this.#socket;
    try {
      if (isTokenWanted || this.#session.renewAfter === 0) await this.#session.renew();
      if (socket === this.#socket) this.connect();
    } catch (error) {
      if (error instanceof SignInError) {
        this.stop();
        this.#on.signedOut(error);
      } else {
        this.#timers.reconnect = setTimeout(() => this.#reconnect(isTokenWanted), 5000);
      }
    }
  }

  #failReplies(why) {
    for (const { reject } of this.#replies.values()) reject(new ConnectionLost(why));
    this.#replies.clear();
  }
}

function uuid() {
  // crypto.randomUUID exists in secure contexts only.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
