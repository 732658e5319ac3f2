// <theme-switch>: system, light, dark; a cookie tells the server, so that the next page is right at first paint.
const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const YEAR_SECONDS = 365 * 86_400;

function isTheme(value: string | undefined): value is Theme {
  return THEMES.some((theme) => theme === value);
}

export class ThemeSwitch extends HTMLElement {
  connectedCallback(): void {
    this.querySelector("button")?.addEventListener("click", () => this.choose());
    this.show();
  }

  private current(): Theme {
    const chosen = document.documentElement.dataset["theme"];
    return isTheme(chosen) ? chosen : "system";
  }

  private choose(): void {
    const next = THEMES[(THEMES.indexOf(this.current()) + 1) % THEMES.length] ?? "system";
    document.documentElement.dataset["theme"] = next;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `theme=${next}; path=/; max-age=${YEAR_SECONDS}; samesite=lax${secure}`;
    this.show();
    document.dispatchEvent(new CustomEvent("themechange"));
  }

  private show(): void {
    const theme = this.current();
    const button = this.querySelector("button");
    button?.setAttribute("aria-label", `Theme: ${theme}. Press to change.`);
    button?.setAttribute("title", `Theme: ${theme}`);
    for (const icon of this.querySelectorAll<SVGElement>("[data-theme-icon]")) {
      icon.toggleAttribute("hidden", icon.dataset["themeIcon"] !== theme);
    }
  }
}
