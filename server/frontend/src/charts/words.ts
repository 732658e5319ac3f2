// A chart for those who do not see it: one sentence and a table.
import { inUnit, type Unit } from "../units";
import type { ChartData } from "./data";

const TABLE_ROWS_AT_MOST = 48;
const moment = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export function momentOf(seconds: number): string {
  return moment.format(new Date(seconds * 1000));
}

export function summaryOf(label: string, data: ChartData, unit: Unit): string {
  const parts = data.series.map(({ label: name, values }) => {
    const known = values.filter((value) => value !== null);
    if (known.length === 0) return `${name}: no data`;
    const low = known.reduce((a, b) => Math.min(a, b));
    const high = known.reduce((a, b) => Math.max(a, b));
    return `${name}: latest ${inUnit(known.at(-1), unit)}, lowest ${inUnit(low, unit)}, highest ${inUnit(high, unit)}`;
  });
  return `${label}. ${parts.join("; ")}.`;
}

export function tableOf(label: string, data: ChartData, unit: Unit): HTMLTableElement {
  const every = Math.max(1, Math.ceil(data.times.length / TABLE_ROWS_AT_MOST));
  const table = document.createElement("table");
  table.createCaption().textContent = every > 1 ? `${label}, one row for every ${every} values` : label;
  const head = table.createTHead().insertRow();
  for (const name of ["Time", ...data.series.map((series) => series.label)]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = table.createTBody();
  for (let index = 0; index < data.times.length; index += every) {
    const row = body.insertRow();
    row.insertCell().textContent = momentOf(data.times[index] ?? 0);
    for (const series of data.series) row.insertCell().textContent = inUnit(series.values[index], unit);
  }
  return table;
}
