// Canvas knows no CSS variables: a colour is resolved through an element that has it.
const TONES: Readonly<Record<string, string>> = {
  ok: "--ok-fill",
  warn: "--warn-fill",
  critical: "--critical-fill",
  info: "--info-fill",
  neutral: "--ink-3",
  accent: "--series-1",
};

export function colorOf(host: HTMLElement, variable: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${variable})`;
  host.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

export function seriesColor(host: HTMLElement, tone: string | undefined, index: number): string {
  const own = /^series-(\d+)$/.exec(tone ?? "")?.[1];
  const place = own ? Number(own) - 1 : index;
  return colorOf(host, TONES[tone ?? ""] ?? `--series-${(place % 6) + 1}`);
}

export function faded(color: string, percent: number): string {
  return `color-mix(in srgb, ${color} ${percent}%, transparent)`;
}
