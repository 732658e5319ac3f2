// Numbers as people read them on an axis or in a tooltip; the same words as the server's filters.
export type Unit = "ms" | "percent" | "count" | "bytes";

const BYTES = ["B", "KB", "MB", "GB", "TB", "PB"];
const COUNTS = ["", "k", "M", "G", "T"];

export function unitOf(name: string | null): Unit {
  return name === "ms" || name === "percent" || name === "bytes" ? name : "count";
}

export function inUnit(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined) return "–";
  if (unit === "ms") return duration(value);
  if (unit === "percent") return `${short(value)} %`;
  return unit === "bytes" ? scaled(value, 1024, BYTES, " ") : scaled(value, 1000, COUNTS, "");
}

function duration(milliseconds: number): string {
  if (Math.abs(milliseconds) < 1000) return `${short(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${short(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} m ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
}

function scaled(value: number, base: number, names: readonly string[], gap: string): string {
  let size = value;
  let step = 0;
  while (Math.abs(size) >= base && step < names.length - 1) {
    size /= base;
    step += 1;
  }
  const name = names[step] ?? "";
  return name ? `${short(size)}${gap}${name}` : short(size);
}

function short(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}
