/** Light or dark: as the system says, or as was chosen on this device. */
import { get, readonly, writable, type Readable } from "svelte/store";
import { onRemembered, remember, remembered } from "./memory";

export const themes = ["system", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

/** --paper of app.css, which the browser's own bars take on. */
export const papers = { light: "#fbfaf7", dark: "#14181d" } as const;

const chosen = writable<Theme>(themed(remembered("theme")));

/** What was chosen. */
export const theme: Readable<Theme> = readonly(chosen);

/** Chooses for this device and remembers it. */
export function chooseTheme(wanted: Theme): void {
  remember("theme", wanted === "system" ? "" : wanted);
  chosen.set(wanted);
}

/** Shows the theme on the page, now and at each change, in this tab or another. What it returns ends it. */
export function showTheme(): () => void {
  const shown = chosen.subscribe(paint);
  const heard = onRemembered("theme", (value) => chosen.set(themed(value)));
  return () => {
    shown();
    heard();
  };
}

/** Whether the page is dark at the moment. */
export function isDark(): boolean {
  const wanted = get(chosen);
  return wanted === "dark" || (wanted === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
}

function paint(wanted: Theme): void {
  if (wanted === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  for (const meta of document.querySelectorAll<HTMLMetaElement>('meta[name="theme-color"]')) {
    const system = meta.getAttribute("media")?.includes("dark") ? "dark" : "light";
    meta.content = papers[wanted === "system" ? system : wanted];
  }
}

function themed(value: string | undefined): Theme {
  return themes.find((theme) => theme === value) ?? "system";
}
