// Where, as shares of the width, charts of buckets of 10, 30 and 60 days change along them, and what is pointed at.
async () => {
  const folder = document.querySelector("script[src$='app.js']").src.replace("app.js", "");
  const load = (name) => import(`${folder}${name}.js`);
  const [{chartIn}, {SeriesSet}] = [await load("chart"), await load("series")];
  const times = [0, 10, 40, 100, 110].map((day) => Date.UTC(2026, 0, 1 + day));
  const seen = {};
  for (const [kind, values] of [["line", [1, null, 1]], ["bars", [1, 1, 1]], ["heat", [1, 2, 4]], ["horizon", [1, 2, 4]]]) {
    const set = new SeriesSet({start: times[0], step: 1, count: 3, expressions: {A: "x"}, times});
    set.take("A", values.map((value, i) => ({time: new Date(times[i]).toISOString(), value})));
    set.settle();
    const host = document.createElement("div");
    host.style.cssText = "position: fixed; inset: 0 auto auto 0; width: 700px; height: 300px; display: grid; z-index: 9";
    document.body.append(host);
    const chart = chartIn(host, kind, {zoom() {}, hover() {}});
    chart.show(set, {zone: "utc"});
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const [picture, plot] = [chart.picture(), chart.pointer.plot()];
    const ratio = picture.width / (kind === "horizon" ? plot.width : chart.element.clientWidth);
    const y = {line: 0, bars: 250, heat: 150, horizon: 28}[kind];
    const {data} = picture.getContext("2d").getImageData(plot.left * ratio, y * ratio, plot.width * ratio, kind === "line" ? 276 * ratio : 1);
    const {colour} = await load("colours");
    const own = [1, 3, 5].map((i) => parseInt(colour(0).slice(i, i + 2), 16)).join();
    const wide = Math.round(plot.width * ratio);
    const at = (x) => kind === "line"
      ? Array.from({length: data.length / 4 / wide}, (_, row) => data.slice(4 * (row * wide + x), 4 * (row * wide + x) + 3).join()).includes(own)
      : data.slice(4 * x, 4 * x + 4).join();
    const changes = [];
    for (let x = 1; x < wide; x++) if (at(x) !== at(x - 1)) changes.push(x / wide);
    const left = chart.element.getBoundingClientRect().left + plot.left;
    const pointed = [0.05, 0.2, 0.38, 0.42, 0.9].map((share) => chart.pointer.at({clientX: left + share * plot.width}));
    seen[kind] = [changes, pointed];
    chart.close();
    host.remove();
  }
  return seen;
}
