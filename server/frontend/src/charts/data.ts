// The data of a chart as the server writes it, checked before anything is drawn.
export interface Series {
  label: string;
  values: (number | null)[];
  tone?: string;
}

export interface Mark {
  at: number;
  label: string;
  tone?: string;
}

/** Times and marks are Unix seconds. Every series has as many values as there are times. */
export interface ChartData {
  times: number[];
  series: Series[];
  marks?: Mark[];
  limit?: { value: number; label: string };
}

export function readChartData(text: string): ChartData {
  const data = JSON.parse(text) as ChartData;
  if (!Array.isArray(data.times) || !Array.isArray(data.series)) throw new TypeError("A chart needs times and series.");
  for (const series of data.series) {
    if (series.values.length !== data.times.length) throw new TypeError(`${series.label}: one value for each time.`);
  }
  return data;
}

export function isEmpty(data: ChartData): boolean {
  return data.series.every((series) => series.values.every((value) => value === null));
}

/** Sums from the first series up, so that the last one's top is the total. */
export function stacked(series: readonly Series[]): (number | null)[][] {
  const sums = new Array<number>(series[0]?.values.length ?? 0).fill(0);
  return series.map(({ values }) =>
    values.map((value, index) => {
      sums[index] = (sums[index] ?? 0) + (value ?? 0);
      return sums[index] ?? null;
    }),
  );
}
