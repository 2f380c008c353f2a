// The evaluator's interface: get() over HTTP, live() over one WebSocket for each route, and the key where one is needed.
import {askForKey, key} from "./key.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
let skew = 0;

/** An answer that is an error: its sentence, status, and what else it holds (line, column, …). */
export class ApiError extends Error {
  constructor(status, body) {
    super(body.error ?? `The evaluator answered ${status}.`);
    Object.assign(this, {status, line: body.line, column: body.column, body});
  }
}

/** The evaluator's present time, in milliseconds: a browser's clock may be wrong. */
export function now() {
  return Date.now() + skew;
}

/** A path with parameters; those without a value are left out. */
export function address(path, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== null);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** The JSON that a path answers; throws ApiError, and asks for a key where one is missing. */
export async function get(path, params, {signal} = {}) {
  const answer = await request("GET", address(path, params), {signal});
  return answer.json();
}

/** The answer to a request, where it is no error; as get. */
export async function request(method, path, {body, headers, signal} = {}) {
  for (;;) {
    const own = key() ? {"X-Api-Key": key()} : {};
    const answer = await fetch(path, {method, body, headers: {...own, ...headers}, signal, credentials: "omit"});
    learnClock(answer.headers.get("Date"));
    if (answer.ok) return answer;
    const error = new ApiError(answer.status, await answer.json().catch(() => ({})));
    if (answer.status !== 401 || !(await askForKey(error.message))) throw error;
  }
}

/** Ask over the route's WebSocket until the function returned is called.
 * onRow gets each message; {restart: true} means that the connection was lost, and all comes again from the start.
 * onError gets an ApiError: that request has ended. */
export function live(path, request, onRow, onError = () => {}) {
  let socket = sockets.get(path);
  if (!socket) sockets.set(path, (socket = new Socket(path)));
  return socket.ask(request, onRow, onError);
}

const sockets = new Map();

class Socket {
  constructor(path) {
    this.path = path;
    this.asked = new Map();
    this.wait = FIRST_WAIT;
    this.number = 0;
    this.connect();
  }

  ask(request, onRow, onError) {
    const id = ++this.number;
    this.asked.set(id, {request, onRow, onError});
    this.send({...request, id});
    return () => this.end(id);
  }

  connect() {
    // A browser cannot set headers on a WebSocket; the parameter is the server's other place for a key, and not logged.
    const path = address(this.path, {api_key: key() || undefined});
    this.socket = new WebSocket(`${location.origin.replace("http", "ws")}${path}`);
    this.socket.onopen = () => {
      this.wait = FIRST_WAIT;
      for (const [id, {request}] of this.asked) this.send({...request, id});
    };
    this.socket.onmessage = ({data}) => this.take(JSON.parse(data));
    this.socket.onclose = () => this.lost();
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  take(message) {
    const found = this.asked.get(message?.id);
    if (!found || message.end) return;
    if (message.error === undefined) return found.onRow(message);
    this.asked.delete(message.id);
    found.onError(new ApiError(400, message));
  }

  end(id) {
    if (!this.asked.delete(id)) return;
    this.send({id, cancel: true});
  }

  lost() {
    if (!this.asked.size) {
      sockets.delete(this.path);
      return;
    }
    for (const {onRow} of this.asked.values()) onRow({restart: true});
    setTimeout(() => this.connect(), this.wait * (0.5 + Math.random()));
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
  }
}

function learnClock(date) {
  const theirs = Date.parse(date ?? "") + 500;
  if (Math.abs(theirs - Date.now()) > 2000) skew = theirs - Date.now();
}
