// The kinds of charts, and which class draws them.
import {HeatChart} from "./chart-heat.js";
import {HorizonChart} from "./chart-horizon.js";
import {PlotChart} from "./chart-plot.js";
import {NumberChart, TableChart} from "./chart-text.js";

export const KINDS = [
  ["line", "Line"], ["area", "Area"], ["stacked", "Stacked"], ["bars", "Bars"], ["horizon", "Horizon"], ["heat", "Heat map"],
  ["number", "Number"], ["table", "Table"],
];
const CHARTS = {heat: HeatChart, horizon: HorizonChart, number: NumberChart, table: TableChart};

/** Whether a text is a kind of chart. */
export function isKind(text) {
  return KINDS.some(([kind]) => kind === text);
}

/** The kind of chart that an address asks for; lines where it names none. */
export function kindOf(query) {
  const kind = query.get("chart");
  return isKind(kind) ? kind : "line";
}

/** A chart in a host, in place of what is there; on: {zoom({start, stop}), hover(index or null), pick(index, series or
 * null, place)}: place is that of the window, {x, y, event}. */
export function chartIn(host, kind, on) {
  const Chart = CHARTS[kind] ?? PlotChart;
  host.dataset.kind = kind;
  return new Chart(host, kind, on);
}
