// Lists with ticks: one tick for all of a page, and "x" for the row that has the focus.

export function startTicking(): void {
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement)) return;
    if (box.hasAttribute("data-ticks-all")) for (const tick of ticksOf(box)) tick.checked = box.checked;
    if (box.hasAttribute("data-tick")) showWhetherAll(box);
  });
}

/** Ticks or unticks the row in which the focus is; tells whether there was one. */
export function tickFocusedRow(): boolean {
  const tick = document.activeElement?.closest("tr")?.querySelector<HTMLInputElement>("input[data-tick]");
  if (!tick) return false;
  tick.checked = !tick.checked;
  showWhetherAll(tick);
  return true;
}

function ticksOf(box: HTMLInputElement): HTMLInputElement[] {
  return [...(box.form?.querySelectorAll<HTMLInputElement>("input[data-tick]") ?? [])];
}

function showWhetherAll(tick: HTMLInputElement): void {
  const all = tick.form?.querySelector<HTMLInputElement>("input[data-ticks-all]");
  if (!all) return;
  const ticked = ticksOf(tick).filter((each) => each.checked).length;
  all.checked = ticked > 0 && ticked === ticksOf(tick).length;
  all.indeterminate = ticked > 0 && !all.checked;
}
