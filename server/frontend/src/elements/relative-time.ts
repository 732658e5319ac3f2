// <relative-time> around a <time>: keeps "3 min ago" true while the page stays open.
const STEPS: readonly [limitSeconds: number, unitSeconds: number, unit: string][] = [
  [3600, 60, "min"],
  [86_400, 3600, "h"],
  [30 * 86_400, 86_400, "d"],
  [365 * 86_400, 30 * 86_400, "mo"],
  [Number.POSITIVE_INFINITY, 365 * 86_400, "y"],
];

/** Says how long ago, in the same words as the server's `ago` filter. */
export function inWords(seconds: number): string {
  const away = Math.abs(seconds);
  if (away < 45) return seconds < -5 ? "in a moment" : "just now";
  const [, size, unit] = STEPS.find(([limit]) => away < limit) ?? STEPS[4]!;
  const amount = `${Math.max(1, Math.floor(away / size))} ${unit}`;
  return seconds < 0 ? `in ${amount}` : `${amount} ago`;
}

export class RelativeTime extends HTMLElement {
  private timer = 0;

  connectedCallback(): void {
    this.timer = window.setInterval(() => this.update(), 20_000);
  }

  disconnectedCallback(): void {
    window.clearInterval(this.timer);
  }

  private update(): void {
    const time = this.querySelector("time");
    if (time && !document.hidden) time.textContent = inWords((Date.now() - Date.parse(time.dateTime)) / 1000);
  }
}
