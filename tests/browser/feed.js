// In place of an evaluator, for tests of what the page does with what comes: `feed` answers GET /1.0/metric and the
// WebSocket's requests with rows of made-up groups, and `feed.tick()` moves the page's clock on, and sends new rows.
(() => {
  const Clock = Date;
  const GROUPS = Array.from({length: 100}, (_, i) => `host-${i}`);
  const began = Clock.UTC(2026, 0, 7, 12);  // always the same, and with it each value
  const feed = window.feed = {at: began, asked: []};

  window.Date = class extends Clock {
    constructor(...given) { super(...(given.length ? given : [feed.at])); }
    static now() { return feed.at; }
  };
  const value = (time, i) => Math.round(50 + 40 * Math.sin(time / 97_000 + i) + 10 * Math.sin(time / 1_700 + 3 * i));
  const rows = (start, stop, step) => {
    const found = [];
    for (let time = start; time < stop; time += step) {
      GROUPS.forEach((group, i) => found.push({time: new Clock(time).toISOString(), value: value(time, i), group}));
    }
    return found;
  };
  const real = window.fetch;
  window.fetch = async (address, options) => {
    const url = new URL(address, location.href);
    if (url.pathname !== "/1.0/metric") return real(address, options);
    const [start, stop, step] = ["start", "stop", "step"].map((name) => url.searchParams.get(name));
    return new Response(JSON.stringify(rows(Clock.parse(start), Clock.parse(stop), Number(step))), {headers: {Date: new Clock(feed.at).toUTCString()}});
  };
  window.WebSocket = class {
    static OPEN = 1;
    readyState = 1;
    constructor() { setTimeout(() => this.onopen?.()); }
    send(text) {
      const request = JSON.parse(text);
      if (request.cancel) feed.asked = feed.asked.filter(({id}) => id !== request.id);
      else setTimeout(() => this.begin({...request, step: Number(request.step), socket: this}));
    }
    /** All from the start on, as an evaluator sends it, and that this was all. */
    begin(asked) {
      const open = feed.at - (feed.at % asked.step);
      for (const row of rows(Clock.parse(asked.start), open + 1, asked.step)) this.say({...row, id: asked.id});
      this.say({live: true, id: asked.id});
      feed.asked.push(asked);
    }
    say(message) { this.onmessage({data: JSON.stringify(message)}); }
    close() {}
  };
  /** Ends once the page has asked for live rows; it is no eval, which the page's policy forbids. */
  feed.ready = () => new Promise((done) => {
    const look = () => feed.asked.length ? done() : setTimeout(look, 20);
    look();
  });
  /** Lose the connection; meanwhile a group goes. */
  feed.lose = (group) => {
    const sockets = new Set(feed.asked.map(({socket}) => socket));
    feed.asked = [];
    GROUPS.splice(GROUPS.indexOf(group), 1);
    for (const socket of sockets) socket.onclose();
  };
  /** Move on by some time, and send the rows of what is new, each as a message of its own. */
  feed.tick = (by) => {
    feed.at += by;
    for (const {id, step, socket} of feed.asked) {
      const open = feed.at - (feed.at % step);
      for (const row of rows(open - step, open + 1, step)) {
        socket.say({...row, id});
      }
    }
  };
})();
