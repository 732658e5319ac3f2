// How a chart is drawn: uPlot options in the look of the house.
import uPlot from "uplot";
import { inUnit, type Unit } from "../units";
import { colorOf, faded, seriesColor } from "./colors";
import { type ChartData, stacked } from "./data";

export type Kind = "line" | "area" | "bars";

export interface PlotRequest {
  host: HTMLElement;
  data: ChartData;
  unit: Unit;
  kind: Kind;
  width: number;
  height: number;
  onCursor: (plot: uPlot) => void;
}

const DAY_SECONDS = 86_400;
const FAR_TIMES = 5;
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export function draw(request: PlotRequest): uPlot {
  return new uPlot(optionsOf(request), alignedData(request), request.host);
}

/** Bars are drawn from the highest sum down, so every lower one covers what is not its own. */
function alignedData({ data, kind }: PlotRequest): uPlot.AlignedData {
  const rows = kind === "bars" ? stacked(data.series).reverse() : data.series.map((series) => series.values);
  return [data.times, ...rows] as uPlot.AlignedData;
}

function optionsOf(request: PlotRequest): uPlot.Options {
  const { host, data, unit, width, height, onCursor } = request;
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    cursor: {
      y: false,
      points: request.kind === "bars" ? { show: false } : { size: 7 },
      sync: { key: "page", scales: ["x", null] },
      drag: { x: true, y: false, dist: 8 },
    },
    scales: { x: { time: true, range: (_, low, high) => timeRangeOf(request, low, high) }, y: { range: (_, low, high) => rangeOf(low, high, unit, data.limit?.value) } },
    axes: axesOf(host, unit),
    series: [{}, ...seriesOf(request)],
    hooks: { setCursor: [onCursor], draw: [(plot) => drawMarks(plot, host, data, unit)] },
  };
}

/** The first and the last bar need half a bar of room beside them, or they are cut. */
function timeRangeOf({ data, kind }: PlotRequest, low: number, high: number): [number, number] {
  const [first, second] = data.times;
  if (low === high) return [low - 1800, high + 1800];
  const room = kind === "bars" && first !== undefined && second !== undefined ? (second - first) / 2 : 0;
  return [low - room, high + room];
}

function rangeOf(low: number | null, high: number | null, unit: Unit, limit: number | undefined): [number, number] {
  // A limit far above everything would press the line flat: it is left out until it is near.
  const near = limit !== undefined && (!high || high * FAR_TIMES >= limit);
  const top = Math.max(high ?? 0, near ? limit : 0);
  if (unit === "percent" && (low ?? 0) > 90) return [Math.floor((low ?? 0) - 0.5), 100];
  if (top <= 0) return [Math.min(low ?? 0, 0), 1];
  return [Math.min(low ?? 0, 0), unit === "percent" ? Math.min(top * 1.15, Math.max(100, top)) : top * 1.12];
}

function axesOf(host: HTMLElement, unit: Unit): uPlot.Axis[] {
  const text = colorOf(host, "--ink-3");
  const line = colorOf(host, "--line");
  const font = `11px ${getComputedStyle(host).fontFamily}`;
  const still = { stroke: text, font, ticks: { show: false }, border: { show: false } };
  return [
    { ...still, size: 24, gap: 4, space: 64, grid: { show: false }, values: (_, splits, __, ___, step) => timeLabels(splits, step) },
    {
      ...still,
      size: (_, labels) => Math.max(34, ...(labels ?? []).map((label) => label.length * 6.2 + 10)),
      gap: 6,
      space: 36,
      grid: { stroke: line, width: 1 },
      values: (_, splits) => splits.map((value) => inUnit(value, unit)),
    },
  ];
}

function timeLabels(splits: readonly number[], stepSeconds: number): string[] {
  return splits.map((seconds) => {
    const date = new Date(seconds * 1000);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0;
    return stepSeconds >= DAY_SECONDS || midnight ? day.format(date) : clock.format(date);
  });
}

function seriesOf({ host, data, kind }: PlotRequest): uPlot.Series[] {
  const bars = uPlot.paths.bars?.({ size: [0.76, 28], radius: 0.12 });
  const smooth = uPlot.paths.linear?.();
  const all = data.series.map((series, index): uPlot.Series => {
    const color = seriesColor(host, series.tone, index);
    if (kind === "bars") return { label: series.label, stroke: color, fill: color, width: 0, points: { show: false }, ...(bars && { paths: bars }) };
    const fill = kind === "area" ? faded(color, 13) : undefined;
    return { label: series.label, stroke: color, width: 1.75, points: { show: true, size: 5, fill: color, width: 0, filter: alone }, ...(fill && { fill }), ...(smooth && { paths: smooth }) };
  });
  return kind === "bars" ? all.reverse() : all;
}

/** A value with nothing beside it makes no line: it is drawn as a dot, or it would not be seen. */
function alone(plot: uPlot, series: number): number[] {
  const values = plot.data[series] ?? [];
  const known = (at: number): boolean => values[at] !== null && values[at] !== undefined;
  return [...values.keys()].filter((at) => known(at) && !known(at - 1) && !known(at + 1));
}

function drawMarks(plot: uPlot, host: HTMLElement, data: ChartData, unit: Unit): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.lineWidth = ratio;
  ctx.font = `${10.5 * ratio}px ${getComputedStyle(host).fontFamily}`;
  for (const mark of data.marks ?? []) {
    const x = Math.round(plot.valToPos(mark.at, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = seriesColor(host, mark.tone ?? "neutral", 0);
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    line(ctx, x, bbox.top, x, bbox.top + bbox.height);
    const near = x + ctx.measureText(mark.label).width + 6 * ratio > bbox.left + bbox.width;
    ctx.textAlign = near ? "right" : "left";
    ctx.fillText(mark.label, x + (near ? -5 : 5) * ratio, bbox.top + 9 * ratio);
  }
  if (data.limit && data.limit.value <= (plot.scales.y?.max ?? Infinity)) {
    const y = Math.round(plot.valToPos(data.limit.value, "y", true));
    ctx.strokeStyle = ctx.fillStyle = colorOf(host, "--critical");
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    line(ctx, bbox.left, y, bbox.left + bbox.width, y);
    ctx.textAlign = "right";
    ctx.fillText(`${data.limit.label} ${inUnit(data.limit.value, unit)}`, bbox.left + bbox.width, y - 5 * ratio);
  }
  ctx.restore();
}

function line(ctx: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}
