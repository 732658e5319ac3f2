// Lists with ticks: one tick for all that is shown, how many are ticked, and "x" for the row that has the focus.

export function startTicking(): void {
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement)) return;
    if (box.hasAttribute("data-ticks-all")) for (const tick of ticksOf(box)) tick.checked = box.checked;
    if (box.matches("[data-tick], [data-ticks-all]")) showHowMany(box);
  });
}

/** Ticks or unticks the row in which the focus is; tells whether there was one. */
export function tickFocusedRow(): boolean {
  const tick = document.activeElement?.closest("tr")?.querySelector<HTMLInputElement>("input[data-tick]");
  if (!tick) return false;
  tick.checked = !tick.checked;
  showHowMany(tick);
  return true;
}

/** The ticks of a form, wherever in the page they stand. */
function ticksOf(box: HTMLInputElement): HTMLInputElement[] {
  return fieldsOf(box).filter((each) => each.hasAttribute("data-tick"));
}

function fieldsOf(box: HTMLInputElement): HTMLInputElement[] {
  return [...(box.form?.elements ?? [])].filter((each) => each instanceof HTMLInputElement);
}

function showHowMany(box: HTMLInputElement): void {
  const ticks = ticksOf(box);
  const ticked = ticks.filter((each) => each.checked).length;
  const all = fieldsOf(box).find((each) => each.hasAttribute("data-ticks-all"));
  if (all) {
    all.checked = ticked > 0 && ticked === ticks.length;
    all.indeterminate = ticked > 0 && !all.checked;
  }
  const count = box.form?.querySelector("[data-ticks-count]");
  if (count) count.textContent = ticked ? `${ticked}` : "";
}
