// Where the rows of the table come from: a stream that begins with what there is, or one answer for a span that is over.
import {get, live} from "./api.js";

const PAGE = 200;
const DELAY = 1_000; // events of the same second may come in another order
const GATHER = 200; // milliseconds between two changes of the table
const MOST_WAITING = 5_000;

export class EventSource {
  constructor({onRows, onClear, onState, onError}) {
    Object.assign(this, {onRows, onClear, onState, onError});
    this.end = () => {};
    this.reset();
  }

  get waiting() {
    return this.paused ? this.pending.length : 0;
  }

  /** Ask for events: expression, start, and stop or null, which is a live stream. */
  ask(question) {
    this.clear();
    this.question = question;
    this.isLive = !question.stop;
    this.isReading = true;
    this.onState();
    this.end = this.isLive ? this.follow(question) : this.fetch(question);
  }

  /** End what is under way, and show nothing. */
  clear() {
    this.end();
    this.end = () => {};
    this.reset();
    this.onClear();
    this.onState();
  }

  setPaused(paused) {
    if (!this.isLive || this.paused === paused) return;
    this.paused = paused;
    if (!paused) this.gather();
    this.onState();
  }

  close() {
    this.end();
    clearTimeout(this.timer);
  }

  /** Ask for the events before a time, in milliseconds, however long ago they were. */
  earlier(before) {
    const end = this.fetch({expression: this.question.expression, stop: new Date(before).toISOString()});
    const former = this.end;
    this.end = () => { former(); end(); };
  }

  reset() {
    Object.assign(this, {pending: [], paused: false, isLive: false, isReading: false, isAtBeginning: false});
    clearTimeout(this.timer);
    this.timer = null;
  }

  follow({expression, start}) {
    // An answer to tell apart "nothing yet" from "still reading": streams do not say when they have caught up.
    const quiet = setTimeout(() => this.took([]), 2_500);
    const stop = live("/1.0/event/get", {expression, start, limit: PAGE, delay: DELAY}, (row) => {
      clearTimeout(quiet);
      if (row.restart) return this.restart();
      this.pending.push({key: row.event, time: Date.parse(row.time), data: row.data});
      if (this.pending.length > MOST_WAITING) this.pending.shift();
      this.timer ??= setTimeout(() => this.gather(), GATHER);
    }, (error) => this.failed(error));
    return () => { clearTimeout(quiet); stop(); };
  }

  restart() {
    this.pending = [];
    if (!this.paused) this.onClear();
  }

  gather() {
    this.timer = null;
    if (this.paused) return this.onState();
    this.took(this.pending.splice(0));
  }

  fetch({expression, start, stop}) {
    const aborting = new AbortController();
    this.isReading = true;
    this.onState();
    get("/1.0/event", {expression, start, stop, limit: PAGE}, {signal: aborting.signal}).then((rows) => {
      if (rows.length < PAGE) this.isAtBeginning = true;
      this.took(rows.map(({id, time, data}) => ({key: id, time: Date.parse(time), data})));
    }, (error) => { if (!aborting.signal.aborted) this.failed(error); });
    return () => aborting.abort();
  }

  took(rows) {
    this.isReading = false;
    this.onRows(rows);
    this.onState();
  }

  failed(error) {
    this.isReading = false;
    this.onError(error);
    this.onState();
  }
}
