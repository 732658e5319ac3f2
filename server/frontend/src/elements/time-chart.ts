// <time-chart label unit kind height src refresh>: a chart over time with legend, tooltip and words.
import type uPlot from "uplot";
import { seriesColor } from "../charts/colors";
import { type ChartData, isEmpty, readChartData } from "../charts/data";
import type * as Plot from "../charts/plot";
import { momentOf, summaryOf, tableOf } from "../charts/words";
import { inUnit, unitOf } from "../units";

const PLOT_HEIGHTS: Readonly<Record<string, number>> = { small: 112, medium: 184, tall: 280 };
const REFRESH_SECONDS_AT_LEAST = 5;

// Kept for the page: a chart that a refresh replaces is then drawn in the same frame, without a flicker.
let loaded: typeof Plot | undefined;
const whenLoaded = async (): Promise<typeof Plot> => (loaded ??= await import("../charts/plot"));

export class TimeChart extends HTMLElement {
  private data: ChartData | undefined;
  private plot: uPlot | undefined;
  private readonly hiddenSeries = new Set<string>();
  private timer = 0;
  private frame = 0;
  private readonly redraw = (): void => this.draw();
  private readonly resizing = new ResizeObserver(() => {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.fit());
  });

  connectedCallback(): void {
    document.addEventListener("themechange", this.redraw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.redraw);
    this.resizing.observe(this);
    const inline = this.querySelector('script[type="application/json"]')?.textContent;
    if (inline) this.show(inline);
    else if (this.hasAttribute("src")) void this.fetch();
    const seconds = Number(this.getAttribute("refresh"));
    if (seconds > 0) this.timer = window.setInterval(() => void this.fetch(), Math.max(seconds, REFRESH_SECONDS_AT_LEAST) * 1000);
  }

  disconnectedCallback(): void {
    document.removeEventListener("themechange", this.redraw);
    matchMedia("(prefers-color-scheme: dark)").removeEventListener("change", this.redraw);
    window.clearInterval(this.timer);
    this.resizing.disconnect();
    this.plot?.destroy();
    this.plot = undefined;
  }

  private get label(): string {
    return this.getAttribute("label") ?? "Chart";
  }

  private async fetch(): Promise<void> {
    const src = this.getAttribute("src");
    if (!src || document.hidden) return;
    try {
      const answer = await fetch(src, { headers: { Accept: "application/json" } });
      if (answer.ok) this.show(await answer.text());
      else if (!this.plot) this.note(`This chart could not be loaded (${answer.status}). Reload the page.`);
    } catch {
      if (!this.plot) this.note("This chart could not be loaded. Reload the page.");
    }
  }

  private show(text: string): void {
    this.data = readChartData(text);
    if (isEmpty(this.data)) this.note(this.getAttribute("empty") ?? "No data in this time range.");
    else if (loaded) this.draw();
    else void whenLoaded().then(this.redraw);
  }

  private note(text: string): void {
    const line = document.createElement("p");
    line.className = "chart-note";
    line.textContent = text;
    this.clear();
    this.append(line);
  }

  private clear(): void {
    this.plot?.destroy();
    this.plot = undefined;
    for (const child of [...this.children]) if (child.tagName !== "SCRIPT") child.remove();
  }

  private draw(): void {
    if (!loaded || !this.data || !this.isConnected || isEmpty(this.data)) return;
    const series = this.data.series.filter(({ label }) => !this.hiddenSeries.has(label));
    const data = { ...this.data, series: series.map((one) => ({ ...one, tone: one.tone ?? this.toneOf(one.label) })) };
    this.clear();
    const host = document.createElement("div");
    host.role = "img";
    host.ariaLabel = summaryOf(this.label, data, unitOf(this.getAttribute("unit")));
    const tip = document.createElement("div");
    tip.className = "chart-tip";
    tip.hidden = true;
    tip.ariaHidden = "true";
    if (this.data.series.length > 1) this.append(this.legend());
    const words = document.createElement("div");
    words.className = "hidden-visually";
    words.append(tableOf(this.label, data, unitOf(this.getAttribute("unit"))));
    this.append(host, tip, words);
    this.plot = loaded.draw({
      host,
      data,
      unit: unitOf(this.getAttribute("unit")),
      kind: this.kind(),
      width: this.clientWidth,
      height: PLOT_HEIGHTS[this.getAttribute("height") ?? "medium"] ?? 184,
      onCursor: (plot) => this.point(plot, data, tip),
    });
    host.addEventListener("mouseleave", () => void (tip.hidden = true));
  }

  /** A series keeps its colour when another one is hidden. */
  private toneOf(label: string): string {
    return `series-${(this.data?.series.findIndex((one) => one.label === label) ?? 0) + 1}`;
  }

  private kind(): Plot.Kind {
    const kind = this.getAttribute("kind");
    return kind === "bars" || kind === "area" ? kind : "line";
  }

  private legend(): HTMLElement {
    const legend = document.createElement("div");
    legend.className = "chart-legend";
    this.data?.series.forEach((series) => {
      const key = document.createElement("button");
      key.type = "button";
      key.className = "chart-key";
      key.ariaPressed = String(!this.hiddenSeries.has(series.label));
      key.append(this.swatch(series.tone ?? this.toneOf(series.label)), series.label);
      key.addEventListener("click", () => this.toggle(series.label));
      legend.append(key);
    });
    return legend;
  }

  private toggle(label: string): void {
    if (!this.hiddenSeries.delete(label)) this.hiddenSeries.add(label);
    if (this.hiddenSeries.size === this.data?.series.length) this.hiddenSeries.clear();
    this.draw();
    [...this.querySelectorAll<HTMLButtonElement>(".chart-key")].find((key) => key.textContent === label)?.focus();
  }

  private swatch(tone: string): HTMLElement {
    const swatch = document.createElement("span");
    swatch.className = "chart-swatch";
    swatch.style.background = seriesColor(this, tone, 0);
    return swatch;
  }

  private point(plot: uPlot, data: ChartData, tip: HTMLElement): void {
    const { idx, left } = plot.cursor;
    tip.hidden = idx === null || idx === undefined || left === undefined || left < 0 || !plot.root.matches(":hover");
    if (tip.hidden || idx === null || idx === undefined || left === undefined) return;
    const time = document.createElement("div");
    time.className = "chart-tip-time";
    time.textContent = momentOf(data.times[idx] ?? 0);
    tip.replaceChildren(time, ...data.series.map((series) => this.tipRow(series.tone ?? "", series.label, series.values[idx])));
    const x = plot.over.offsetLeft + left;
    const width = tip.offsetWidth;
    tip.style.transform = `translate(${x + 14 + width > this.clientWidth ? Math.max(0, x - width - 14) : x + 14}px, ${plot.root.offsetTop + 12}px)`;
  }

  private tipRow(tone: string, label: string, value: number | null | undefined): HTMLElement {
    const row = document.createElement("div");
    row.className = "chart-tip-row";
    const amount = document.createElement("span");
    amount.className = "chart-tip-value";
    amount.textContent = inUnit(value, unitOf(this.getAttribute("unit")));
    row.append(this.swatch(tone), label, amount);
    return row;
  }

  private fit(): void {
    if (this.plot && this.clientWidth && this.clientWidth !== this.plot.width) {
      this.plot.setSize({ width: this.clientWidth, height: this.plot.height });
    }
  }
}
