// Paints a theme that was chosen on this device before the first frame: the app itself, which is a module, comes after it.
try {
  const chosen = localStorage.getItem("parley.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing has no choice to show.
}
